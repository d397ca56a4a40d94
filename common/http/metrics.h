// Metrics: counters, gauges and histograms of one daemon, as /metrics shows them (Prometheus text).
// Owned by the daemon; registering and counting from any thread. Names are skein_<thing>_<unit>
// [_total]; label values come from small fixed sets, never from outside.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <map>
#include <string>

#include "common/http/http.h"

namespace skein {

class Metrics {
 public:
  using Labels = std::map<std::string, std::string>;

  // The same name and labels give the same object; it lives as long as this.
  prometheus::Counter& counter(const std::string& name, const std::string& help,
                               const Labels& labels = {});
  prometheus::Gauge& gauge(const std::string& name, const std::string& help,
                           const Labels& labels = {});
  prometheus::Histogram& histogram(const std::string& name, const std::string& help,
                                   const prometheus::Histogram::BucketBoundaries& buckets,
                                   const Labels& labels = {});
  std::string text() const;
  HttpResponse response() const;  // what GET /metrics answers

 private:
  prometheus::Registry registry_;
};

}  // namespace skein

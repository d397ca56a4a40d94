// AdminClient: the admin API from the other side: one call, one JSON object. Used by the tool's
// commands; loop thread only.
#pragma once

#include <boost/json.hpp>
#include <string>

#include "common/env/env.h"
#include "common/env/network.h"

namespace skein::admin {

struct Access {
  std::string coordinator = "http://127.0.0.1:7071";
  std::string token_file;
};

class AdminClient {
 public:
  // Reads the token. Errc::kUsage for a URL that is none; kNotFound for the token file.
  static Task<Result<AdminClient>> open(Env env, Access access);

  // `body`: what is sent, as it is. What the coordinator refuses comes back as its own Error;
  // Errc::kUnavailable when it is not there.
  Task<Result<boost::json::object>> call(std::string method, std::string path, std::string body);

 private:
  AdminClient(Env env, Endpoint to, std::string token)
      : env_(env), to_(std::move(to)), token_(std::move(token)) {}
  Env env_;
  Endpoint to_;
  std::string token_;
};

Result<Endpoint> endpoint_of_url(const std::string& url);  // "http://host:port[/]"

}  // namespace skein::admin

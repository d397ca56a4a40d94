#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "common/http/http.h"

namespace skein {

std::string HttpRequest::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string() : found->second;
}

HttpResponse json_response(int status, std::string json_text) {
  return HttpResponse{status, {{"Content-Type", "application/json"}}, std::move(json_text)};
}

HttpResponse error_response(int status, std::string_view message, std::string_view type) {
  boost::json::object error;
  error["message"] = boost::json::string_view(message.data(), message.size());
  error["type"] = boost::json::string_view(type.data(), type.size());
  error["param"] = nullptr;
  error["code"] = nullptr;
  boost::json::object body;
  body["error"] = std::move(error);
  return json_response(status, boost::json::serialize(body));
}

int http_status(Errc code) {
  switch (code) {
    case Errc::kUsage:
    case Errc::kCorrupt:
      return 400;
    case Errc::kRefused:
      return 403;
    case Errc::kNotFound:
      return 404;
    case Errc::kOutOfStep:
    case Errc::kConflict:
      return 409;
    case Errc::kUnsupported:
    case Errc::kFalse:
      return 422;
    case Errc::kInput:
      return 500;
    case Errc::kUnavailable:
    case Errc::kCancelled:
    case Errc::kOutOfRoom:
      return 503;
    case Errc::kDeadline:
      return 504;
  }
  return 500;
}

}  // namespace skein

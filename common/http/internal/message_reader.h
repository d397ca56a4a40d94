// MessageReader: one request or response from a Connection, by Boost.Beast's parser, whose limits
// hold before anything is stored. The body comes in pieces as it arrives. Loop thread only.
#pragma once

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <functional>
#include <memory>

#include "common/http/http.h"
#include "common/http/internal/connection.h"
#include "common/http/internal/text.h"

namespace skein::http {

namespace beast = boost::beast::http;

template <bool kRequest>
class MessageReader {
 public:
  MessageReader(std::shared_ptr<Connection> connection, std::size_t body_limit)
      : connection_(std::move(connection)) {
    parser_.header_limit(static_cast<std::uint32_t>(kMaxHttpHeaderBytes));
    parser_.body_limit(body_limit);
  }
  MessageReader(const MessageReader&) = delete;
  MessageReader& operator=(const MessageReader&) = delete;

  auto& parser() { return parser_; }
  boost::system::error_code reason() const { return reason_; }  // why a read failed

  // Up to the blank line; the body stays unparsed.
  Task<Result<void>> read_head() {
    while (!parser_.is_header_done()) {
      const bool moved = feed();
      if (reason_) co_return refusal();
      if (parser_.is_header_done()) break;
      CO_TRY_VOID(co_await more(moved));
    }
    parser_.eager(true);
    co_return Result<void>{};
  }

  // In place of the constructor's, once the head is known. False when the body is longer.
  bool limit_body(std::size_t limit) {
    parser_.body_limit(limit);
    const auto length = parser_.content_length();
    if (!length || *length <= limit) return true;
    reason_ = beast::error::body_limit;
    return false;
  }

  // `take` gets each piece; false stops reading.
  Task<Result<void>> read_body(std::function<bool(std::string_view)> take) {
    std::array<char, 16 << 10> piece;
    while (!parser_.is_done()) {
      auto& body = parser_.get().body();
      body.data = piece.data();
      body.size = piece.size();
      const bool moved = feed();
      const std::size_t got = piece.size() - body.size;
      if (reason_) co_return refusal();
      if (got > 0 && !take({piece.data(), got})) co_return Result<void>{};
      if (moved || got > 0 || parser_.is_done()) continue;
      CO_TRY_VOID(co_await more(moved));
    }
    co_return Result<void>{};
  }

  bool body_has_begun() const { return !connection_->unparsed().empty(); }

 private:
  bool feed() {  // true when bytes were consumed
    const ByteView bytes = connection_->unparsed();
    if (bytes.empty()) return false;
    boost::system::error_code ec;
    const std::size_t used = parser_.put(boost::asio::buffer(bytes.data(), bytes.size()), ec);
    connection_->consume(used);
    if (ec != beast::error::need_more && ec != beast::error::need_buffer) reason_ = ec;
    return used > 0;
  }

  Task<Result<void>> more(bool moved) {
    const std::size_t have = moved ? 0 : connection_->unparsed().size();
    if (connection_->full() && !moved) {
      reason_ = beast::error::header_limit;  // a line that fills the whole buffer
      co_return refusal();
    }
    CO_TRY_VOID(co_await Connection::wait_beyond(connection_, have));
    if (connection_->unparsed().size() > have || !connection_->ended()) co_return Result<void>{};
    boost::system::error_code ec;
    if (parser_.got_some()) parser_.put_eof(ec);
    if (ec || !parser_.is_done()) {
      co_return fail(Errc::kUnavailable, "the far side closed in the middle of a message");
    }
    co_return Result<void>{};
  }

  tl::unexpected<Error> refusal() const {
    return fail(Errc::kCorrupt, "not well-formed HTTP: " + reason_.message());
  }

  std::shared_ptr<Connection> connection_;
  beast::parser<kRequest, beast::buffer_body> parser_;
  boost::system::error_code reason_;
};

// Lower-case names; a repeated header is joined with ", ".
template <class Fields>
std::map<std::string, std::string> headers_of(const Fields& fields) {
  std::map<std::string, std::string> out;
  for (const auto& field : fields) {
    const auto name = field.name_string();
    const auto value = field.value();
    std::string& joined = out[lower_case({name.data(), name.size()})];
    if (!joined.empty()) joined += ", ";
    joined.append(value.data(), value.size());
  }
  return out;
}

}  // namespace skein::http

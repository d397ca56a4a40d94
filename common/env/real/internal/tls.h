// One TLS 1.3 session: its context, made fresh for each connection so that the verdict about the
// peer belongs to exactly one handshake. Loop thread.
#pragma once

#include <openssl/x509_vfy.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <memory>
#include <optional>

#include "common/env/peer_check.h"

namespace skein::real {

class TlsSession {
 public:
  using Stream = boost::asio::ssl::stream<boost::asio::ip::tcp::socket>;

  // `peer_use` kServer makes this the client side. Errc::kCorrupt when our own PEMs are unusable.
  static Result<std::shared_ptr<TlsSession>> make(boost::asio::ip::tcp::socket socket,
                                                  std::shared_ptr<const TlsOptions> options,
                                                  CertificateUse peer_use, WallTime now);
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  Task<Result<PeerIdentity>> handshake();
  Stream& stream() { return stream_; }
  boost::asio::ip::tcp::socket& socket() { return stream_.next_layer(); }

 private:
  TlsSession(boost::asio::ip::tcp::socket socket, boost::asio::ssl::context context,
             std::shared_ptr<const TlsOptions> options, CertificateUse peer_use, WallTime now);
  static int verify(X509_STORE_CTX* store, void* self);

  std::shared_ptr<const TlsOptions> options_;
  CertificateUse peer_use_;
  WallTime now_;
  std::optional<Result<CheckedPeer>> verdict_;
  boost::asio::ssl::context context_;
  Stream stream_;
};

// True when the peer ended the handshake or the link because of our certificate.
bool is_refusal(const boost::system::error_code& error);

}  // namespace skein::real

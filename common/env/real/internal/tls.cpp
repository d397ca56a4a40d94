#include "common/env/real/internal/tls.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace skein::real {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;

namespace {

void append_pem(std::string& out, X509* certificate) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> memory(BIO_new(BIO_s_mem()), &BIO_free);
  if (!memory || PEM_write_bio_X509(memory.get(), certificate) != 1) return;
  char* text = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &text);
  out.append(text, static_cast<std::size_t>(size));
}

std::string chain_pem(X509_STORE_CTX* store) {
  std::string pem;
  X509* leaf = X509_STORE_CTX_get0_cert(store);
  append_pem(pem, leaf);
  const STACK_OF(X509)* others = X509_STORE_CTX_get0_untrusted(store);
  for (int i = 0; i < sk_X509_num(others); ++i) {
    X509* other = sk_X509_value(others, i);
    if (X509_cmp(other, leaf) != 0) append_pem(pem, other);
  }
  return pem;
}

Result<void> use_identity(ssl::context& context, const TlsIdentity& identity) {
  boost::system::error_code error;
  context.use_certificate_chain(asio::buffer(identity.certificate_pem), error);
  if (error) {
    return fail(Errc::kCorrupt, "our own certificate cannot be used: " + error.message(), {},
                "enrol again");
  }
  context.use_private_key(asio::buffer(identity.private_key_pem), ssl::context::pem, error);
  if (error) {
    return fail(Errc::kCorrupt,
                "our own private key does not go with our certificate: " + error.message(), {},
                "enrol again");
  }
  return {};
}

Result<ssl::context> make_context(const TlsOptions& options, CertificateUse peer_use) {
  const bool client = peer_use == CertificateUse::kServer;
  ssl::context context(client ? ssl::context::tlsv13_client : ssl::context::tlsv13_server);
  SSL_CTX* handle = context.native_handle();
  SSL_CTX_set_min_proto_version(handle, TLS1_3_VERSION);
  // A resumed session would skip the certificates; there is no resumption.
  SSL_CTX_set_session_cache_mode(handle, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(handle, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(handle, 0);
  const bool must_show = !client && !options.peer_certificate_optional;
  SSL_CTX_set_verify(handle, SSL_VERIFY_PEER | (must_show ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                     nullptr);
  if (options.identity) TRY_VOID(use_identity(context, *options.identity));
  return context;
}

}  // namespace

bool is_refusal(const boost::system::error_code& error) {
  if (error.category() != asio::error::get_ssl_category()) return false;
  switch (ERR_GET_REASON(static_cast<unsigned long>(error.value()))) {
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
      return true;
    default:
      return false;
  }
}

Result<std::shared_ptr<TlsSession>> TlsSession::make(asio::ip::tcp::socket socket,
                                                     std::shared_ptr<const TlsOptions> options,
                                                     CertificateUse peer_use, WallTime now) {
  TRY(ssl::context context, make_context(*options, peer_use));
  return std::shared_ptr<TlsSession>(
      new TlsSession(std::move(socket), std::move(context), std::move(options), peer_use, now));
}

TlsSession::TlsSession(asio::ip::tcp::socket socket, ssl::context context,
                       std::shared_ptr<const TlsOptions> options, CertificateUse peer_use,
                       WallTime now)
    : options_(std::move(options)),
      peer_use_(peer_use),
      now_(now),
      context_(std::move(context)),
      stream_(std::move(socket), context_) {
  SSL_CTX_set_cert_verify_callback(context_.native_handle(), &TlsSession::verify, this);
}

int TlsSession::verify(X509_STORE_CTX* store, void* self) {
  auto& session = *static_cast<TlsSession*>(self);
  session.verdict_ =
      check_peer(chain_pem(store), *session.options_, session.peer_use_, session.now_);
  if (session.verdict_->has_value()) return 1;
  X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED);
  return 0;
}

Task<Result<PeerIdentity>> TlsSession::handshake() {
  const auto side =
      peer_use_ == CertificateUse::kServer ? ssl::stream_base::client : ssl::stream_base::server;
  const auto [error] = co_await stream_.async_handshake(side, asio::as_tuple(asio::use_awaitable));
  if (verdict_ && !*verdict_) co_return tl::unexpected<Error>(verdict_->error());
  if (error == asio::error::operation_aborted) {
    co_return fail(Errc::kCancelled, "the handshake was cancelled");
  }
  if (error) {
    const bool by_tls = error.category() == asio::error::get_ssl_category();
    co_return fail(by_tls ? Errc::kRefused : Errc::kUnavailable,
                   "the TLS handshake failed: " + error.message(), {},
                   "both sides need certificates of the same authority");
  }
  if (!verdict_) verdict_ = check_peer({}, *options_, peer_use_, now_);
  CO_TRY(const CheckedPeer peer, *verdict_);
  co_return peer.identity;
}

}  // namespace skein::real

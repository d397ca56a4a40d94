// SocketStream: a Stream over a TCP socket or a TLS session. Loop thread. The operations hold the
// link themselves, so a stream may be destroyed while one is pending: it then ends as cancelled.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <memory>

#include "common/env/network.h"
#include "common/env/real/internal/tls.h"

namespace skein::real {

std::unique_ptr<Stream> make_plain_stream(boost::asio::ip::tcp::socket socket,
                                          PeerIdentity identity);
std::unique_ptr<Stream> make_tls_stream(std::shared_ptr<TlsSession> session, PeerIdentity identity);

// Small messages leave at once; a peer that vanished is noticed.
void prepare_socket(boost::asio::ip::tcp::socket& socket);
std::string address_of_peer(const boost::asio::ip::tcp::socket& socket);

}  // namespace skein::real

// The listening side of RealNetwork. Loop thread.
#pragma once

#include <boost/asio/io_context.hpp>

#include "common/env/env.h"
#include "common/env/network.h"

namespace skein::real {

Result<std::unique_ptr<Listener>> make_listener(boost::asio::io_context& loop, Clock& clock,
                                                Log& log, const Endpoint& at,
                                                std::shared_ptr<const TlsOptions> tls);

}  // namespace skein::real

// SimStream: one end of a wire as a Stream.
#pragma once

#include "simulations/world/internal/fabric.h"

namespace skein::sim {

std::unique_ptr<Stream> make_stream(Fabric& fabric, std::shared_ptr<Wire> wire, std::size_t end);

}  // namespace skein::sim

// The coordinator's metrics, collected when somebody asks: nothing is counted twice. Loop thread.
#pragma once

#include <string>

#include "coordinator/app/internal/rooms.h"

namespace skein {

// Prometheus text. Labels are states and steps only, never names of devices or artifacts.
std::string metrics_text(const Rooms& rooms);

// Whether the device was heard within its last few heartbeats.
bool is_online(const Rooms& rooms, const DeviceRow& device);

}  // namespace skein

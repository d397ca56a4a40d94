// What the admin API says, as JSON values: one function a thing. Pure over the rooms; loop thread.
// Field names are part of the API: add, never rename.
#pragma once

#include <boost/json.hpp>

#include "coordinator/app/internal/rooms.h"

namespace skein::admin {

boost::json::object json_of(const Rooms& rooms, const DeviceRow& device);
boost::json::object json_of(const ArtifactRow& artifact);
boost::json::object json_of(const RolloutMachine& machine);         // counts, no devices
boost::json::array devices_json_of(const RolloutMachine& machine);  // every device's step
boost::json::object json_of(const RoundStatus& round);
boost::json::object json_of(const SplitServer::SessionFacts& session);
boost::json::object json_of(const Manifest& manifest);

// A request's body as an object; an empty body is an empty object. Errc::kUsage.
Result<boost::json::object> parse_object(const std::string& body);
// Fields of a request. Absent: nullopt. Errc::kUsage names the field whose type or size is wrong.
Result<std::optional<std::string>> text_field(const boost::json::object& object,
                                              std::string_view name);
Result<std::optional<double>> number_field(const boost::json::object& object,
                                           std::string_view name);
Result<std::optional<std::uint32_t>> count_field(const boost::json::object& object,
                                                 std::string_view name);
Result<std::optional<bool>> flag_field(const boost::json::object& object, std::string_view name);

}  // namespace skein::admin

// What the admin API said, for people: tables of lists, lines of single things. Pure; any thread.
#pragma once

#include <boost/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace skein::admin {

// One cell: digests shortened, times in UTC, counts as "committed 3, failed 1", null as "-".
std::string cell_of(std::string_view field, const boost::json::value& value);
// Columns are the names of fields. Every row ends with a newline.
std::string table_of(const boost::json::array& rows, const std::vector<std::string>& columns);
// "field  value", one a line; lists of objects below, as tables.
std::string lines_of(const boost::json::object& object);

}  // namespace skein::admin

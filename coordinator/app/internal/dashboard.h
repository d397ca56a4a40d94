// The dashboard: one self-contained page, no outside scripts or fonts. Any thread.
#pragma once

#include <string_view>

namespace skein {

std::string_view dashboard_page();

}  // namespace skein

// What the machine says about memory, heat and battery: "path NUL text NUL path NUL text ...".
#include "common/base/check.h"
#include "tests/common/env/pressure/planted_files.h"
#include "tests/fuzz/fuzz_target.h"

namespace {

constexpr int kMostReads = 100'000;  // names of zones and supplies are as many as the input has

std::string cut(std::string_view& rest) {
  const std::size_t end = rest.find('\0');
  std::string text(rest.substr(0, end));
  rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
  return text;
}

}  // namespace

FUZZ_TARGET(pressure) {
  if (input.size() > fuzz::kMaxInput) return;
  test::PlantedFiles files;
  std::string_view rest(reinterpret_cast<const char*>(input.data()), input.size());
  while (!rest.empty()) {
    const std::string path = cut(rest);
    files.put(path, cut(rest));
  }
  const Pressure pressure = read_pressure(files);
  CHECK(files.reads < kMostReads);
  CHECK(pressure.battery_percent.value_or(0) <= 100);
  if (pressure.group) CHECK(pressure.group->room_bytes() <= pressure.group->limit_bytes);
  if (pressure.machine_stalls) {
    CHECK(pressure.machine_stalls->some_share >= 0 && pressure.machine_stalls->some_share <= 1);
    CHECK(pressure.machine_stalls->some.count() >= 0);
  }
}

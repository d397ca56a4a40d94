#include "simulations/workload/robot_logs.h"

#include <array>
#include <string_view>

namespace skein {
namespace {

// SplitMix64 (Steele, Lea and Flood 2014): small, and the same everywhere.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15ULL;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  unsigned below(unsigned bound) { return static_cast<unsigned>(next() % bound); }
  template <std::size_t N>
  std::string_view pick(const std::array<std::string_view, N>& words) {
    return words[below(N)];
  }

 private:
  std::uint64_t state_;
};

constexpr std::array<std::string_view, 6> kItems = {"bolt",  "gear",  "panel",
                                                    "valve", "cable", "crate"};
constexpr std::array<std::string_view, 5> kPlaces = {"dock", "shelf", "bay", "gate", "belt"};
constexpr std::array<std::string_view, 4> kTasks = {"pick", "place", "carry", "scan"};
constexpr std::array<std::string_view, 10> kNumbers = {"one", "two",   "three", "four", "five",
                                                       "six", "seven", "eight", "nine", "ten"};

struct Event {
  unsigned minute;
  unsigned robot;
  std::string_view task;
  std::string_view item;
  std::string_view place;
  unsigned number;   // of the place, 1..9
  unsigned seconds;  // 2..9
  bool ok;
  unsigned battery;  // percent
};

Event draw(Dice& dice, unsigned line) {
  return {8 * 60 + line * 2 + dice.below(2),
          1 + dice.below(4),
          dice.pick(kTasks),
          dice.pick(kItems),
          dice.pick(kPlaces),
          1 + dice.below(9),
          2 + dice.below(8),
          dice.below(8) != 0,
          20 + dice.below(80)};
}

std::string two_digits(unsigned value) {
  return std::string(value < 10 ? "0" : "") + std::to_string(value);
}

std::string time_of(const Event& event, std::string_view between) {
  return two_digits(event.minute / 60 % 24) + std::string(between) + two_digits(event.minute % 60);
}

std::string key_values(const Event& event) {
  return "time=" + time_of(event, "") + " robot=carrier-" + std::to_string(event.robot) +
         " task=" + std::string(event.task) + " item=" + std::string(event.item) +
         " at=" + std::string(event.place) + "-" + std::to_string(event.number) +
         " result=" + (event.ok ? "ok" : "retry") + " took=" + std::to_string(event.seconds) +
         "s battery=" + std::to_string(event.battery) + "\n";
}

std::string sentence(const Event& event) {
  std::string text = "At " + time_of(event, ":") + " carrier " +
                     std::string(kNumbers[event.robot - 1]) + " was told to " +
                     std::string(event.task) + " the " + std::string(event.item) + " at " +
                     std::string(event.place) + " " + std::string(kNumbers[event.number - 1]);
  if (event.ok) {
    text += " and was done in " + std::string(kNumbers[event.seconds - 1]) + " seconds.\n";
  } else {
    text += " but the grip slipped, so it will try again.\n";
  }
  return text;
}

std::string radio_call(const Event& event) {
  std::string text = "[C" + std::to_string(event.robot) + "] " + time_of(event, ".") + " // ";
  for (const char c : event.task) text += static_cast<char>(c - 'a' + 'A');
  return text + " " + std::string(event.item) + " > " + std::string(event.place) + "/" +
         std::to_string(event.number) + (event.ok ? " // COPY, " : " // NEGATIVE, ") +
         std::to_string(event.seconds) + " sec, power " + std::to_string(event.battery) + " over\n";
}

std::string say(const Event& event, unsigned dialect) {
  switch (dialect % kLogDialects) {
    case 0:
      return key_values(event);
    case 1:
      return sentence(event);
    default:
      return radio_call(event);
  }
}

}  // namespace

std::string robot_log(unsigned dialect, unsigned lines, std::uint64_t seed) {
  Dice dice(seed * kLogDialects + dialect);
  std::string text;
  for (unsigned line = 0; line < lines; ++line) text += say(draw(dice, line), dialect);
  return text;
}

std::string mixed_robot_log(unsigned lines, std::uint64_t seed) {
  Dice dice(seed ^ 0x6d69786564ULL);
  std::string text;
  for (unsigned line = 0; line < lines; ++line) text += say(draw(dice, line), line);
  return text;
}

}  // namespace skein

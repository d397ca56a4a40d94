#include "common/grammar/internal/expression.h"

#include <algorithm>

#include "common/base/check.h"

namespace skein::grammar {

Expression text_of(std::string text) {
  Expression made;
  made.kind = Expression::Kind::kText;
  made.text = std::move(text);
  return made;
}

Expression sequence_of(std::vector<Expression> parts) {
  if (parts.size() == 1) return std::move(parts.front());
  Expression made;
  made.parts = std::move(parts);
  return made;
}

Expression choice_of(std::vector<Expression> parts) {
  if (parts.size() == 1) return std::move(parts.front());
  Expression made;
  made.kind = Expression::Kind::kChoice;
  made.parts = std::move(parts);
  return made;
}

Expression repeat_of(Expression part, std::uint32_t least, std::uint32_t most) {
  Expression made;
  made.kind = Expression::Kind::kRepeat;
  made.parts.push_back(std::move(part));
  made.least = least;
  made.most = most;
  return made;
}

Expression rule_of(std::uint32_t rule) {
  Expression made;
  made.kind = Expression::Kind::kRule;
  made.rule = rule;
  return made;
}

std::vector<CodeRange> sorted_ranges(std::vector<CodeRange> ranges) {
  std::ranges::sort(ranges, {}, &CodeRange::first);
  std::vector<CodeRange> sorted;
  for (const CodeRange& range : ranges) {
    if (!sorted.empty() && range.first <= sorted.back().last + 1) {
      sorted.back().last = std::max(sorted.back().last, range.last);
    } else {
      sorted.push_back(range);
    }
  }
  return sorted;
}

std::vector<CodeRange> other_characters(const std::vector<CodeRange>& ranges) {
  std::vector<CodeRange> others;
  std::uint32_t next = 0;
  for (const CodeRange& range : ranges) {
    if (range.first > next) others.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kMaxCodePoint) others.push_back({next, kMaxCodePoint});
  return others;
}

Expression class_of(std::vector<CodeRange> ranges) {
  constexpr CodeRange kSurrogates{0xD800, 0xDFFF};
  Expression made;
  made.kind = Expression::Kind::kClass;
  for (const CodeRange& range : sorted_ranges(std::move(ranges))) {
    if (range.last < kSurrogates.first || range.first > kSurrogates.last) {
      made.ranges.push_back(range);
      continue;
    }
    if (range.first < kSurrogates.first) {
      made.ranges.push_back({range.first, kSurrogates.first - 1});
    }
    if (range.last > kSurrogates.last) made.ranges.push_back({kSurrogates.last + 1, range.last});
  }
  return made;
}

std::uint32_t RuleSet::number_of(std::string_view name) {
  const auto next = static_cast<std::uint32_t>(rules.size());
  const auto [found, is_new] = by_name.try_emplace(std::string(name), next);
  if (is_new) rules.push_back(Rule{.name = std::string(name), .where = {}, .body = {}});
  return found->second;
}

std::uint32_t RuleSet::add(std::string name, Expression body) {
  const std::uint32_t number = number_of(name);
  CHECK(!rules[number].defined);
  rules[number].body = std::move(body);
  rules[number].defined = true;
  return number;
}

}  // namespace skein::grammar

#include "common/base/check.h"
#include "common/wire/internal/codec.h"

namespace skein::wire {
namespace {

std::uint32_t token_count(FieldCheck& check, std::uint32_t count, const char* field) {
  if (count > kMaxSplitTokens) {
    check.refuse(field, "a step carries " + std::to_string(count) + " tokens, more than " +
                            std::to_string(kMaxSplitTokens));
  }
  return count;
}

}  // namespace

void write(const SplitOpen& from, schema::SplitOpen::Builder to) {
  to.setSession(from.session.value());
  to.setArtifact(out_bytes(from.artifact.bytes));
  to.setFirstLayer(from.first_layer);
  to.setEndLayer(from.end_layer);
}
void read(FieldCheck& check, schema::SplitOpen::Reader from, SplitOpen& to) {
  to.session = SessionId(from.getSession());
  to.artifact = check.digest(from.getArtifact(), "SplitOpen.artifact");
  to.first_layer = from.getFirstLayer();
  to.end_layer = from.getEndLayer();
}

void write(const SplitOpened& from, schema::SplitOpened::Builder to) {
  to.setNext(from.next.value());
}
void read(FieldCheck&, schema::SplitOpened::Reader from, SplitOpened& to) {
  to.next = Step(from.getNext());
}

void write(const SplitStep& from, schema::SplitStep::Builder to) {
  CHECK(from.count <= kMaxSplitTokens);
  to.setSession(from.session.value());
  to.setStep(from.step.value());
  to.setCount(from.count);
}
void read(FieldCheck& check, schema::SplitStep::Reader from, SplitStep& to) {
  to.session = SessionId(from.getSession());
  to.step = Step(from.getStep());
  to.count = token_count(check, from.getCount(), "SplitStep.count");
}

void write(const SplitResult& from, schema::SplitResult::Builder to) {
  CHECK(from.count <= kMaxSplitTokens);
  to.setSession(from.session.value());
  to.setStep(from.step.value());
  to.setCount(from.count);
}
void read(FieldCheck& check, schema::SplitResult::Reader from, SplitResult& to) {
  to.session = SessionId(from.getSession());
  to.step = Step(from.getStep());
  to.count = token_count(check, from.getCount(), "SplitResult.count");
}

void write(const SplitClose& from, schema::SplitClose::Builder to) {
  to.setSession(from.session.value());
}
void read(FieldCheck&, schema::SplitClose::Reader from, SplitClose& to) {
  to.session = SessionId(from.getSession());
}

}  // namespace skein::wire

#include <cmath>

#include "common/base/check.h"
#include "common/wire/internal/codec.h"

namespace skein::wire {

void write(const UploadBegin& from, schema::UploadBegin::Builder to) {
  CHECK(std::isfinite(from.loss_before) && std::isfinite(from.loss_after));
  to.setRound(from.round.value());
  to.setContent(out_bytes(from.content.bytes));
  to.setBytes(from.bytes);
  to.setRawBytes(from.raw_bytes);
  to.setTokens(from.tokens);
  to.setLossBefore(from.loss_before);
  to.setLossAfter(from.loss_after);
}
void read(FieldCheck& check, schema::UploadBegin::Reader from, UploadBegin& to) {
  to.round = RoundId(from.getRound());
  to.content = check.digest(from.getContent(), "UploadBegin.content");
  to.bytes = from.getBytes();
  to.raw_bytes = from.getRawBytes();
  to.tokens = from.getTokens();
  to.loss_before = check.finite(from.getLossBefore(), "UploadBegin.lossBefore");
  to.loss_after = check.finite(from.getLossAfter(), "UploadBegin.lossAfter");
}

void write(const UploadChunk& from, schema::UploadChunk::Builder to) {
  to.setRound(from.round.value());
  to.setOffset(from.offset);
}
void read(FieldCheck&, schema::UploadChunk::Reader from, UploadChunk& to) {
  to.round = RoundId(from.getRound());
  to.offset = from.getOffset();
}

void write(const UploadStatus& from, schema::UploadStatus::Builder to) {
  to.setHaveBytes(from.have_bytes);
  to.setComplete(from.complete);
}
void read(FieldCheck&, schema::UploadStatus::Reader from, UploadStatus& to) {
  to.have_bytes = from.getHaveBytes();
  to.complete = from.getComplete();
}

}  // namespace skein::wire

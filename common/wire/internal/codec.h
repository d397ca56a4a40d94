// Codec: one row per message (its number, its schema struct) and the two functions each row needs,
// defined in the .cpp named after the schema. The only header of the room that sees capnp structs.
#pragma once

#include <cstdint>

#include "common/wire/internal/fields.h"
#include "common/wire/messages.h"
#include "schemas/control.capnp.h"
#include "schemas/federation.capnp.h"
#include "schemas/split.capnp.h"
#include "schemas/update.capnp.h"

namespace skein::wire {

template <class Struct, std::uint16_t number>
struct Row {
  using Schema = Struct;
  static constexpr std::uint16_t kType = number;  // travels in the frame header: never renumber
};

template <class M>
struct RowOf;

// Messages that have got fields since a release. They are written in canonical form, which leaves
// out fields at their default at the end: what an older release could say keeps its bytes.
template <class M>
inline constexpr bool kHasGrown = false;
template <>
inline constexpr bool kHasGrown<FetchPages> = true;
template <>
inline constexpr bool kHasGrown<PagePart> = true;

#define SKEIN_WIRE_MESSAGE(Name, number)                  \
  template <>                                             \
  struct RowOf<Name> : Row<schema::Name, number> {        \
    static constexpr std::string_view kName = #Name;      \
  };                                                      \
  void write(const Name& from, schema::Name::Builder to); \
  void read(FieldCheck& check, schema::Name::Reader from, Name& to)

SKEIN_WIRE_MESSAGE(EnrolRequest, 1);
SKEIN_WIRE_MESSAGE(EnrolReply, 2);
SKEIN_WIRE_MESSAGE(Heartbeat, 3);
SKEIN_WIRE_MESSAGE(HeartbeatReply, 4);
SKEIN_WIRE_MESSAGE(Ack, 5);
SKEIN_WIRE_MESSAGE(ErrorReply, 6);
SKEIN_WIRE_MESSAGE(FetchManifest, 16);
SKEIN_WIRE_MESSAGE(ManifestPart, 17);
SKEIN_WIRE_MESSAGE(FetchPages, 18);
SKEIN_WIRE_MESSAGE(PagePart, 19);
SKEIN_WIRE_MESSAGE(SplitOpen, 32);
SKEIN_WIRE_MESSAGE(SplitOpened, 33);
SKEIN_WIRE_MESSAGE(SplitStep, 34);
SKEIN_WIRE_MESSAGE(SplitResult, 35);
SKEIN_WIRE_MESSAGE(SplitClose, 36);
SKEIN_WIRE_MESSAGE(UploadBegin, 48);
SKEIN_WIRE_MESSAGE(UploadChunk, 49);
SKEIN_WIRE_MESSAGE(UploadStatus, 50);

#undef SKEIN_WIRE_MESSAGE

}  // namespace skein::wire

@0xc5a8d1f06b3e7a42;
# The manifest of a Skein artifact. schemas/README.md says how its bytes are framed, hashed and signed,
# and what a reader checks beyond this shape. Field numbers are never reused and never change meaning;
# readers accept the previous release.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("skein::schema");

struct Manifest {
  formatVersion @0 :UInt32;        # 1; 2 when there is a tensor head.order
  name @1 :Text;                   # for people
  version @2 :Text;                # for people
  config @3 :Config;
  tokenizer @4 :Tokenizer;         # kind "" = none
  chatTemplate @5 :Text;           # "" = RWKV World's
  gridId @6 :Text;                 # "" = not quantized on a shared grid
  parent @7 :Data;                 # 32 bytes: digest of the manifest it was made from; empty = none
  techniques @8 :List(Text);
  tensors @9 :List(Tensor);        # in order of first use
  pages @10 :List(Page);           # each distinct page once, in order of first use
}

struct Config {
  architecture @0 :UInt8;          # 4, 51 (5.1), 52 (5.2), 6, 7
  layers @1 :UInt32;
  width @2 :UInt32;
  heads @3 :UInt32;
  headSize @4 :UInt32;
  ffnWidth @5 :UInt32;
  vocab @6 :UInt32;
}

struct Tokenizer {
  kind @0 :Text;                   # "rwkv-world"
  bytes @1 :UInt64;                # of the vocabulary file
  pages @2 :List(UInt32);          # whose bytes, one after the other, are that file
}

struct Tensor {
  name @0 :Text;                   # the official RWKV name
  shape @1 :List(UInt32);          # as in the checkpoint, outermost first
  format @2 :UInt8;                # 1 f32, 2 bf16, 3 f16, 4 q8, 5 q6, 6 q5, 7 q4 (kernels/ops/format.h)
  layout @3 :UInt8;                # 1 rows, 2 tiles of 16 rows
  transposed @4 :Bool;             # the stored matrix is the transpose of the checkpoint's
  rows @5 :UInt32;                 # of the stored matrix; a vector has one
  cols @6 :UInt32;
  segments @7 :List(Segment);      # in row order, without gap or overlap
}

struct Segment {
  page @0 :UInt32;                 # index into pages
  offset @1 :UInt32;               # bytes into the page, a multiple of 64
  firstRow @2 :UInt32;
  rows @3 :UInt32;
}

struct Page {
  # The SHA-256 of the page's bytes, as four little-endian words in order.
  digest0 @0 :UInt64;
  digest1 @1 :UInt64;
  digest2 @2 :UInt64;
  digest3 @3 :UInt64;
  bytes @4 :UInt32;                # 1 to 262144
}

# Update: manifests and pages by their digests.
# Limits on lengths and the meaning of each field: common/wire/messages.h. Rules of change: README.md.
@0xb94e6d02f18a7c35;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("skein::schema");

struct FetchManifest {
  artifact @0 :Data;  # 32 bytes, SHA-256 of the manifest
}

struct ManifestPart {  # payload: bytes of the encoded SignedManifest from `offset` on
  offset @0 :UInt64;
  total @1 :UInt64;
}

struct FetchPages {
  pages @0 :List(Data);  # 32 bytes each
  coded @1 :Bool;        # the pages may come coded
}

struct PagePart {  # payload: the page, as it is or coded (common/coding/README.md)
  page @0 :Data;
  coded @1 :Bool;
}

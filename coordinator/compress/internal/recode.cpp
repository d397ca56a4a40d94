#include "coordinator/compress/internal/recode.h"

#include "common/env/disk.h"

namespace skein {

Task<Result<Recoded>> recode(Disk& disk, Recoding what) {
  CO_TRY(auto mapped, disk.map(what.in));
  if (!is_artifact(mapped->bytes())) {
    co_return fail(Errc::kUsage, "only an artifact has pages to code", what.in,
                   "leave out --only entropy, or `skein import` the checkpoint first");
  }
  Recoded made;
  made.bytes_before = mapped->bytes().size();
  CO_TRY(const auto file, ArtifactFile::open(std::move(mapped), what.in));
  made.pages = file->manifest().pages.size();
  SignedManifest manifest = file->signed_manifest();
  if (what.key) manifest = sign_manifest(file->manifest(), what.key);
  CO_TRY(made.digest,
         co_await write_signed_artifact(disk, what.out, *file, std::move(manifest), what.coding));
  CO_TRY(const auto written, disk.map(what.out));
  made.bytes_after = written->bytes().size();
  co_return made;
}

}  // namespace skein

// Candidate: what a round makes of its counted updates, and how good it is. Private to
// coordinator/federation; the tasks run on the loop, their arithmetic on env.compute.
#pragma once

#include <memory>
#include <string>

#include "common/convert/convert.h"
#include "common/env/env.h"
#include "coordinator/federation/aggregator.h"
#include "coordinator/federation/internal/upload_files.h"
#include "coordinator/federation/round_machine.h"

namespace skein::internal {

struct Candidate {
  std::shared_ptr<PageSource> base;  // the artifact's pages may lie in it
  std::shared_ptr<MemoryArtifact> artifact;
  Digest digest;
};

// Floats in an update for this base: every layer's WKV state.
std::size_t update_values(const ModelConfig& config);

// One device's packed bytes, checked in every way there is: hash, codec, shape, numbers, norm.
// Errc::kCorrupt when the bytes are not those announced, kRefused when the update is not
// acceptable.
Result<DeviceUpdate> open_update(DeviceId device, const UploadBegin& announced, ByteView packed,
                                 const UpdateBounds& bounds);

// The mean of the counted updates; they are read and checked again.
Task<Result<std::vector<float>>> combine(Env env, UploadFiles& files, RoundRecord record,
                                         UpdateBounds bounds);
// The base with its initial states moved by `mean`.
Task<Result<Candidate>> build(Env env, std::shared_ptr<PageSource> base, RoundRecord record,
                              std::vector<float> mean);
// Nats per token of the model in `pages` on `text`, a window per job.
Task<Result<double>> held_out_loss(Env env, std::shared_ptr<PageSource> pages, std::string text,
                                   std::uint32_t context);

}  // namespace skein::internal

// ResumablePress: a press that leaves what it finished beside the artifact to be. Loop thread.
#pragma once

#include "common/env/env.h"
#include "coordinator/compress/internal/press_journal.h"

namespace skein {

// All that decides what comes out, besides the plan: the model's bytes or its artifact's digest.
Digest run_digest(const CompressionRequest& request, const PressInput& input, Digest model);

struct ResumedPress {
  PressResult result;
  std::unique_ptr<PressJournal> journal;  // to be removed once the result is safe
  std::size_t taken_up = 0;               // pieces of work of an earlier run
};

// "OUT.unfinished" keeps the work. input.finished is set here. Errors as press' and the disk's.
Task<Result<ResumedPress>> press_resumably(Env env, PressInput input, const CompressionPlan& plan,
                                           std::string path, Digest run);

}  // namespace skein

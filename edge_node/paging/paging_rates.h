// How fast this device reads and decodes an artifact's pages: what a ResidencyPlan is told.
#pragma once

#include "edge_node/paging/pager.h"

namespace skein {

struct MeasuredPaging {
  PagingRates rates;       // what could not be measured is as it was
  double coded_share = 0;  // ResidencyRequest's, of a plain file
};

// Reads some pages of the artifact, and decodes them (of a plain file: codes them before) on all
// threads at once: some 40 milliseconds, more where storage is slow; for Compute. What it takes of
// memory is given back. Errors as BlockReads'; a damaged page is not looked for.
Result<MeasuredPaging> measure_paging(Disk& disk, Clock& clock, Parallel& parallel,
                                      const Pager::Artifact& artifact);

}  // namespace skein

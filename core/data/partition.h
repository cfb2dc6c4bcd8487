// Splitting one data set over participants, as the literature's experiments do.
#ifndef LINNET_DATA_PARTITION_H_
#define LINNET_DATA_PARTITION_H_

#include <string_view>

#include "base/crypto.h"
#include "data/dataset.h"

namespace linnet {

// "iid": a shuffled equal split. "shards:S" (McMahan 2017): rows sorted by label, cut into S *
// clients shards, each client takes S at random. "dirichlet:ALPHA" (Hsu 2019): each label's rows
// are divided by a Dirichlet draw over clients; redrawn until every client holds at least one row
// (100 tries, then kInvalid). The same (seed, spec, clients) gives the same rows on every target.
Result<std::vector<DataView>> Partition(std::shared_ptr<const Dataset> data, std::string_view spec,
                                        size_t clients, const Seed& seed);

}  // namespace linnet

#endif  // LINNET_DATA_PARTITION_H_

// Where examples come from, by name: "strokes", "mnist:DIR", "csv:TRAIN?label=NAME&test=TEST",
// "npy:X,Y", "text:FILE".
#ifndef LINNET_NATIVE_DATA_SOURCE_H_
#define LINNET_NATIVE_DATA_SOURCE_H_

#include <memory>
#include <string_view>

#include "base/result.h"
#include "data/dataset.h"

namespace linnet {

// Both parts have the same features and classes. They come with scaling kUnit, the test part scaled
// as its training part; SetScaling and CopyScaling change it.
struct TrainTest {
  std::shared_ptr<Dataset> train;
  std::shared_ptr<Dataset> test;  // null when the source has none
};

// strokes?writers=0-99&per=100&seed=1   drawn here (data/strokes.h); no test part
// mnist:DIR                            IDX files by their usual names, gzipped or not (idx.h)
// csv:TRAIN?label=NAME&test=TEST       numeric features (csv.h); test= may be left out
// npy:X.npy,Y.npy                      NumPy's arrays with labels or target values (npy.h)
// text:FILE?context=64                 windows of bytes; the last tenth is the test part (text.h)
// Errors name the file or line, what was found and what was wanted; an unknown kind is answered
// with the nearest known one.
Result<TrainTest> OpenSource(std::string_view source);

}  // namespace linnet

#endif  // LINNET_NATIVE_DATA_SOURCE_H_

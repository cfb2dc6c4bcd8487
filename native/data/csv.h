// Tables of numbers with a label column.
#ifndef LINNET_NATIVE_DATA_CSV_H_
#define LINNET_NATIVE_DATA_CSV_H_

#include <string>
#include <string_view>

#include "native/data/source.h"

namespace linnet {

// Comma-separated text with a header row: finite numbers, and the column `label`. Fields may stand
// in double quotes ("" is one quote) but not reach over a line's end; CRLF and a UTF-8 mark are
// taken, empty lines skipped, a file may be gzipped. At most 65536 columns, 65536 classes and 2^28
// numbers.
//
// Labels that are all whole numbers in 0..65535 are kept, and classes = the largest of the training
// part
// + 1. Other labels are sorted as bytes and numbered from 0: participants that hold separate files
// agree on the numbers only when each file shows every label.
// The test part's columns are found by name; a label that the training part does not know is
// refused. Errors (kData, kNotFound, kLimit) name file and line, the header being line 1.
Result<TrainTest> ParseCsv(std::string_view train, const std::string& train_name,
                           std::string_view label, const std::string_view* test,
                           const std::string& test_name);

// The same from files; no test part when `test_path` is empty.
Result<TrainTest> OpenCsvFiles(const std::string& train_path, std::string_view label,
                               const std::string& test_path);

}  // namespace linnet

#endif  // LINNET_NATIVE_DATA_CSV_H_

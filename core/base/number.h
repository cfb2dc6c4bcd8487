// Numbers as text.
#ifndef LINNET_BASE_NUMBER_H_
#define LINNET_BASE_NUMBER_H_

#include <string>

namespace linnet {

// The fewest digits that read back as the same value, fixed or scientific, whichever is shorter:
// "0.1", "12000", "1e-07", "inf", "nan". Independent of the locale. Like std::to_chars, whose
// tables would be 8 % of the engine that a page downloads.
std::string ShortestText(double value);
std::string ShortestText(float value);

}  // namespace linnet

#endif  // LINNET_BASE_NUMBER_H_

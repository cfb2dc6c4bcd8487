// Rounds and summaries in words, for serve and simulate.
#ifndef LINNET_NATIVE_CLI_REPORT_H_
#define LINNET_NATIVE_CLI_REPORT_H_

#include <string>
#include <vector>

#include "fed/coordinator.h"
#include "native/cli/output.h"

namespace linnet {

// "round   3  accuracy 91.20 %  loss 0.2871   8 of 8 counted  up 204 KB  down 6.39 MB  1.2 s"
std::string RoundLine(const RoundMetrics& metrics);

// "accuracy 91.20 %", or "loss 0.0287" of a model that has no accuracy.
std::string ScoreText(const RoundMetrics& metrics);

// The accuracy by round as a plot, or nothing when there is too little to show.
void PrintAccuracy(Output& output, const std::vector<RoundMetrics>& history);

// One row per participant: what it sent, received and how often it counted.
void PrintParticipants(Output& output, const std::vector<CoordinatorStatus::Person>& participants);

// "accuracy 0.95" or "round.maxRounds" for the first line of a summary.
std::string DescribeTarget(const Federation& federation);

}  // namespace linnet

#endif  // LINNET_NATIVE_CLI_REPORT_H_

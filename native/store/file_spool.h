// A spool for updates in a file that has no name: it is gone with the process.
#ifndef LINNET_NATIVE_STORE_FILE_SPOOL_H_
#define LINNET_NATIVE_STORE_FILE_SPOOL_H_

#include <memory>
#include <string>

#include "fed/update_store.h"

namespace linnet {

// In `folder`, which is there; the file is made when it is first needed. Errors are kIo with the
// system's words.
std::shared_ptr<Spool> MakeFileSpool(std::string folder);

}  // namespace linnet

#endif  // LINNET_NATIVE_STORE_FILE_SPOOL_H_

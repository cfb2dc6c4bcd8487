// The page's files from one folder, and nothing outside it.
#ifndef LINNET_NATIVE_HTTP_PAGE_FILES_H_
#define LINNET_NATIVE_HTTP_PAGE_FILES_H_

#include <string>
#include <string_view>

#include "native/transport/http_message.h"

namespace linnet {

// "text/html; charset=utf-8" for "index.html"; "application/octet-stream" for what is not known.
std::string_view ContentType(std::string_view path);

// Answers GET and HEAD for `path` (percent-encoded, begins with '/', no query) from `folder`; a
// folder's index.html for a path that ends in '/'. 404 for everything that is no regular file
// inside `folder`:
// "..", hidden names, links that lead out. With an ETag; 304 when `if_none_match` is it.
HttpResponse ServePageFile(const std::string& folder, std::string_view path,
                           std::string_view if_none_match);

// The page's folder when none is named: ../share/linnet/web, ../web or ../../web/dist beside the
// executable, the first that has an index.html; empty = none.
std::string FindPageFolder();

}  // namespace linnet

#endif  // LINNET_NATIVE_HTTP_PAGE_FILES_H_

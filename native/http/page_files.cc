#include "native/http/page_files.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <vector>

#include "base/bytes.h"
#include "base/crypto.h"
#include "native/store/state_folder.h"

namespace linnet {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxFileBytes = 64u << 20;

HttpResponse NotFound() {
  HttpResponse response;
  response.status = 404;
  response.headers.emplace_back("Content-Type", "text/plain; charset=utf-8");
  response.body = "there is nothing here\n";
  return response;
}

// The path's segments; false for what must not be looked up at all.
bool Decode(std::string_view path, std::vector<std::string>& segments) {
  if (path.empty() || path[0] != '/') return false;
  std::string plain;
  for (size_t i = 0; i < path.size(); ++i) {
    char c = path[i];
    if (c == '%') {
      if (i + 2 >= path.size()) return false;
      const auto byte = FromHex(path.substr(i + 1, 2));
      if (!byte) return false;
      c = char((*byte)[0]);
      i += 2;
    }
    if (static_cast<unsigned char>(c) < ' ' || c == '\\') return false;
    plain += c;
  }
  size_t from = 1;
  while (from <= plain.size()) {
    const size_t end = std::min(plain.find('/', from), plain.size());
    const std::string segment = plain.substr(from, end - from);
    const bool last = end == plain.size();
    if (!last && segment.empty()) return false;
    if (!segment.empty() && segment[0] == '.') return false;
    segments.push_back(segment);
    from = end + 1;
  }
  return true;
}

}  // namespace

std::string_view ContentType(std::string_view path) {
  struct Row {
    std::string_view end, type;
  };
  static constexpr Row kTypes[] = {
      {".html", "text/html; charset=utf-8"},
      {".js", "text/javascript; charset=utf-8"},
      {".mjs", "text/javascript; charset=utf-8"},
      {".css", "text/css; charset=utf-8"},
      {".json", "application/json"},
      {".map", "application/json"},
      {".webmanifest", "application/manifest+json"},
      {".wasm", "application/wasm"},
      {".svg", "image/svg+xml"},
      {".png", "image/png"},
      {".ico", "image/x-icon"},
      {".woff2", "font/woff2"},
      {".txt", "text/plain; charset=utf-8"},
  };
  for (const Row& row : kTypes) {
    if (path.ends_with(row.end)) return row.type;
  }
  return "application/octet-stream";
}

HttpResponse ServePageFile(const std::string& folder, std::string_view path,
                           std::string_view if_none_match) {
  std::vector<std::string> segments;
  if (folder.empty() || !Decode(path, segments)) return NotFound();
  if (segments.back().empty()) segments.back() = "index.html";
  fs::path file = folder;
  for (const std::string& segment : segments) file /= segment;
  std::error_code error;
  const fs::path root = fs::canonical(folder, error);
  if (error) return NotFound();
  const fs::path real = fs::canonical(file, error);
  if (error || !fs::is_regular_file(real, error)) return NotFound();
  const auto [mismatch, unused] = std::mismatch(root.begin(), root.end(), real.begin(), real.end());
  static_cast<void>(unused);
  if (mismatch != root.end()) return NotFound();
  const auto bytes = ReadFile(real.string(), kMaxFileBytes);
  if (!bytes) return NotFound();

  HttpResponse response;
  const std::string etag = StrCat("\"", Hex(Blake2b(*bytes)).substr(0, 24), "\"");
  response.headers.emplace_back("ETag", etag);
  response.headers.emplace_back("Cache-Control", "no-cache");
  if (if_none_match == etag) {
    response.status = 304;
    return response;
  }
  response.headers.emplace_back("Content-Type", std::string(ContentType(real.string())));
  response.body.assign(bytes->begin(), bytes->end());
  return response;
}

std::string FindPageFolder() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (error) return {};
  for (const char* beside : {"../share/linnet/web", "../web", "../../web/dist"}) {
    const fs::path folder = program.parent_path() / beside;
    if (fs::is_regular_file(folder / "index.html", error)) {
      return fs::weakly_canonical(folder, error).string();
    }
  }
  return {};
}

}  // namespace linnet

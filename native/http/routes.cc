#include "native/http/routes.h"

#include <algorithm>

#include "base/crypto.h"
#include "native/http/page_files.h"
#include "native/http/status_json.h"

namespace linnet {
namespace {

// A browser that began a download just before a round's end still gets what it asked for.
constexpr size_t kKeptModels = 3;

HttpResponse JsonAnswer(const Json& value, int status = 200) {
  HttpResponse response;
  response.status = status;
  response.headers = {{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}};
  response.body = value.Dump() + "\n";
  return response;
}

HttpResponse JsonError(int status, std::string_view message) {
  return JsonAnswer(Json::Object{{"error", message}}, status);
}

}  // namespace

Routes::Routes(const Coordinator& coordinator, Federation federation, std::string page_folder,
               std::vector<std::string> allowed_origins)
    : coordinator_(coordinator),
      federation_(std::move(federation)),
      page_folder_(std::move(page_folder)),
      allowed_origins_(std::move(allowed_origins)) {}

HttpResponse Routes::Answer(const HttpRequest& request) {
  HttpResponse response;
  if (request.method == "GET" || request.method == "HEAD") {
    response = Dispatch(request);
  } else {
    response = JsonError(405, "GET and HEAD only");
    response.headers.emplace_back("Allow", "GET, HEAD");
  }
  const bool foreign = std::find(allowed_origins_.begin(), allowed_origins_.end(),
                                 request.origin) != allowed_origins_.end();
  auto& headers = response.headers;
  headers.emplace_back("X-Content-Type-Options", "nosniff");
  headers.emplace_back("Referrer-Policy", "no-referrer");
  headers.emplace_back("Cross-Origin-Opener-Policy", "same-origin");
  headers.emplace_back("Cross-Origin-Embedder-Policy", "require-corp");
  headers.emplace_back("Cross-Origin-Resource-Policy", foreign ? "cross-origin" : "same-origin");
  headers.emplace_back("Vary", "Origin");
  if (foreign) headers.emplace_back("Access-Control-Allow-Origin", request.origin);
  headers.emplace_back(
      "Content-Security-Policy",
      "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; "
      "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self' ws: wss:; "
      "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
  return response;
}

HttpResponse Routes::Dispatch(const HttpRequest& request) {
  KeepModels();
  const std::string path = request.target.substr(0, request.target.find('?'));
  if (path == "/healthz") {
    const std::string phase = coordinator_.Status().phase;
    if (phase == "failed") return JsonAnswer(Json::Object{{"status", "failed"}}, 503);
    return JsonAnswer(Json::Object{{"status", "ok"}, {"phase", phase}});
  }
  if (path == "/v1/status") return JsonAnswer(StatusJson(federation_, coordinator_));
  if (path == "/v1/federation") return JsonAnswer(PublicFederation(federation_));
  if (path == "/v1/models/current") {
    return Model(Hex(Blake2b(*coordinator_.model())), "no-store");  // the ETag names it
  }
  if (constexpr std::string_view prefix = "/v1/models/"; path.starts_with(prefix)) {
    return Model(path.substr(prefix.size()), "public, max-age=31536000, immutable");
  }
  if (path.starts_with("/v1/")) return JsonError(404, "no such resource");
  if (path == "/" && page_folder_.empty()) {
    HttpResponse response = JsonAnswer(StatusJson(federation_, coordinator_));
    return response;
  }
  return ServePageFile(page_folder_, path, request.if_none_match);
}

void Routes::KeepModels() {
  for (const SharedBytes& model : {coordinator_.best_model(), coordinator_.model()}) {
    const auto known = std::find_if(models_.begin(), models_.end(),
                                    [&](const auto& kept) { return kept.second == model; });
    if (known == models_.end()) {
      models_.emplace_back(Hex(Blake2b(*model)), model);
    } else {
      std::rotate(known, known + 1, models_.end());
    }
  }
  if (models_.size() > kKeptModels) {
    models_.erase(models_.begin(), models_.end() - ptrdiff_t(kKeptModels));
  }
}

HttpResponse Routes::Model(const std::string& digest, const char* cache_control) {
  if (!DigestFromHex(digest))
    return JsonError(404, "a model is named by 64 hexadecimal characters");
  for (const auto& [hex, bytes] : models_) {
    if (hex != digest) continue;
    HttpResponse response;
    response.headers = {{"Content-Type", "application/octet-stream"},
                        {"Cache-Control", cache_control},
                        {"ETag", StrCat("\"", hex, "\"")}};
    response.body.assign(bytes->begin(), bytes->end());
    return response;
  }
  return JsonError(404, "this model is not kept here; /v1/status names the current one");
}

}  // namespace linnet

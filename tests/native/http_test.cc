#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/json.h"
#include "gtest/gtest.h"
#include "native/cli/setup.h"
#include "native/folder.h"
#include "native/http/address.h"
#include "native/http/page_files.h"
#include "native/http/routes.h"
#include "native/http/status_json.h"

namespace linnet {
namespace {

std::string Header(const HttpResponse& response, std::string_view name) {
  for (const auto& header : response.headers) {
    if (header.first == name) return header.second;
  }
  return "(absent)";
}

// ---- Addresses

struct AddressRow {
  const char* text;
  const char* scheme;
  const char* host;
  uint16_t port;
  const char* path = "/";
};

TEST(AddressTest, IsReadAsPeopleWriteIt) {
  const AddressRow rows[] = {
      {"127.0.0.1:8787", "", "127.0.0.1", 8787},
      {"ws://example.org:1/join", "ws", "example.org", 1, "/join"},
      {"wss://[::1]:65535", "wss", "::1", 65535},
      {"http://host:0/", "http", "host", 0},
  };
  for (const AddressRow& row : rows) {
    const auto address = ParseAddress(row.text);
    ASSERT_TRUE(address) << row.text;
    EXPECT_EQ(address->scheme, row.scheme);
    EXPECT_EQ(address->host, row.host);
    EXPECT_EQ(address->port, row.port);
    EXPECT_EQ(address->path, row.path);
  }
  EXPECT_EQ(ParseAddress("host", 80)->port, 80);
  EXPECT_EQ(ParseAddress("[::1]:5")->HostPort(), "[::1]:5");
}

TEST(AddressTest, WhatIsWrongIsSaid) {
  for (const char* text : {"", "host", ":1", "host:", "host:65536", "host:1x", "host:-1", "::1:5",
                           "[::1:5", "[::1]5", "ws://"}) {
    const auto address = ParseAddress(text);
    ASSERT_FALSE(address) << text;
    EXPECT_EQ(address.error().code, Code::kInvalid) << text;
  }
}

// ---- Files

class PageTest : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(folder_.path() + "/web/assets");
    Write("web/index.html", "<title>page</title>");
    Write("web/assets/core.wasm", "wasm");
    Write("web/assets/a b.js", "spaced");
    Write("web/.hidden", "secret");
    Write("secret.txt", "secret");
    ASSERT_EQ(
        symlink((folder_.path() + "/secret.txt").c_str(), (folder_.path() + "/web/link").c_str()),
        0);
  }
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_.path() + "/" + name) << text;
  }
  HttpResponse Get(std::string_view path, std::string_view etag = {}) {
    return ServePageFile(folder_.path() + "/web", path, etag);
  }
  TestFolder folder_;
};

TEST_F(PageTest, NothingOutsideTheFolderAndNothingHiddenIsServed) {
  for (const char* path : {"",
                           "secret.txt",
                           "/../secret.txt",
                           "/..%2fsecret.txt",
                           "/%2e%2e/secret.txt",
                           "/assets/../../secret.txt",
                           "/assets/..%2f..%2fsecret.txt",
                           "/link",
                           "/.hidden",
                           "/%2ehidden",
                           "/./index.html",
                           "//index.html",
                           "/assets//core.wasm",
                           "/assets\\core.wasm",
                           "/index.html%00",
                           "/index.html%0",
                           "/index.html%zz",
                           "/assets",
                           "/assets/",
                           "/nothing",
                           "/index.html/"}) {
    const HttpResponse response = Get(path);
    EXPECT_EQ(response.status, 404) << path;
    EXPECT_EQ(response.body.find("secret"), std::string::npos) << path;
  }
}

TEST_F(PageTest, FilesComeWithTheirTypeAndTag) {
  const HttpResponse index = Get("/");
  EXPECT_EQ(index.status, 200);
  EXPECT_EQ(index.body, "<title>page</title>");
  EXPECT_EQ(Header(index, "Content-Type"), "text/html; charset=utf-8");
  EXPECT_EQ(Header(Get("/assets/core.wasm"), "Content-Type"), "application/wasm");
  EXPECT_EQ(Get("/assets/a%20b.js").body, "spaced");
  const std::string etag = Header(index, "ETag");
  EXPECT_EQ(Get("/", etag).status, 304);
  EXPECT_EQ(Get("/", etag).body, "");
  Write("web/index.html", "<title>other</title>");
  EXPECT_EQ(Get("/", etag).status, 200);
}

// ---- Routes

class RoutesTest : public PageTest {
 protected:
  void SetUp() override {
    PageTest::SetUp();
    auto federation = ParseFederation(
        R"({"name": "digits", "model": {"builtin": "softmax-regression"}, "round": {"cohort": 2}})");
    ASSERT_TRUE(federation) << federation.error().message;
    federation_ = *federation;
    plugins_ = *MakePluginTable({});
    CoordinatorOptions options;
    options.federation = federation_;
    options.strategy = **plugins_.Find("fedavg");
    options.initial = *InitialModel(federation_, "", SeedFromInt(1), nullptr);
    coordinator_ = std::move(*Coordinator::Create(std::move(options)));
    routes_ = std::make_unique<Routes>(*coordinator_, federation_, folder_.path() + "/web",
                                       std::vector<std::string>{"https://friend.example"});
  }
  HttpResponse Ask(std::string target, std::string method = "GET", std::string origin = "") {
    HttpRequest request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.origin = std::move(origin);
    return routes_->Answer(request);
  }
  Federation federation_;
  PluginTable plugins_;
  std::unique_ptr<Coordinator> coordinator_;
  std::unique_ptr<Routes> routes_;
};

TEST_F(RoutesTest, OtherMethodsAreRefused) {
  const HttpResponse response = Ask("/v1/status", "POST");
  EXPECT_EQ(response.status, 405);
  EXPECT_EQ(Header(response, "Allow"), "GET, HEAD");
}

TEST_F(RoutesTest, WhatIsNotThereIsNotFound) {
  for (const char* target : {"/v1/", "/v1/models/", "/v1/models/00", "/v1/nothing", "/nothing"})
    EXPECT_EQ(Ask(target).status, 404) << target;
  EXPECT_EQ(Ask("/v1/models/" + std::string(64, '0')).status, 404);
}

TEST_F(RoutesTest, EveryAnswerIsolatesThePage) {
  for (const char* target : {"/", "/v1/status", "/healthz", "/nothing"}) {
    const HttpResponse response = Ask(target);
    EXPECT_EQ(Header(response, "Cross-Origin-Opener-Policy"), "same-origin");
    EXPECT_EQ(Header(response, "Cross-Origin-Embedder-Policy"), "require-corp");
    EXPECT_EQ(Header(response, "X-Content-Type-Options"), "nosniff");
    EXPECT_NE(Header(response, "Content-Security-Policy").find("object-src 'none'"),
              std::string::npos);
  }
}

TEST_F(RoutesTest, OnlyAllowedOriginsMayReadAcross) {
  EXPECT_EQ(
      Header(Ask("/v1/status", "GET", "https://friend.example"), "Access-Control-Allow-Origin"),
      "https://friend.example");
  EXPECT_EQ(
      Header(Ask("/v1/status", "GET", "https://stranger.example"), "Access-Control-Allow-Origin"),
      "(absent)");
  EXPECT_EQ(Header(Ask("/v1/status"), "Cross-Origin-Resource-Policy"), "same-origin");
}

TEST_F(RoutesTest, StatusNamesAModelThatCanBeFetchedForEver) {
  const auto status = Json::Parse(Ask("/v1/status?now").body);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->Find("federation")->as_string(), "digits");
  EXPECT_EQ(status->Find("round")->as_int(), 0);
  const std::string digest = status->Find("model")->as_string();
  const HttpResponse model = Ask("/v1/models/" + digest);
  EXPECT_EQ(model.status, 200);
  EXPECT_EQ(Hex(Blake2b(AsBytes(model.body))), digest);
  EXPECT_EQ(int64_t(model.body.size()), status->Find("modelBytes")->as_int());
  EXPECT_NE(Header(model, "Cache-Control").find("immutable"), std::string::npos);
}

TEST_F(RoutesTest, TheCurrentModelNeedsNoDigestAndNamesIt) {
  const HttpResponse model = Ask("/v1/models/current");
  EXPECT_EQ(model.status, 200);
  EXPECT_EQ(Header(model, "Cache-Control"), "no-store");
  EXPECT_EQ(Header(model, "ETag"), StrCat("\"", Hex(Blake2b(AsBytes(model.body))), "\""));
}

TEST_F(RoutesTest, TheFederationIsShownAsParticipantsMaySeeIt) {
  const auto shown = Json::Parse(Ask("/v1/federation").body);
  ASSERT_TRUE(shown);
  EXPECT_EQ(*shown, PublicFederation(federation_));
}

TEST_F(RoutesTest, HealthIsOk) {
  EXPECT_EQ(Ask("/healthz").status, 200);
  EXPECT_EQ(Json::Parse(Ask("/healthz").body)->Find("status")->as_string(), "ok");
}

TEST(StatusJsonTest, WhatWasNotMeasuredIsNull) {
  RoundMetrics metrics;
  metrics.round = 3;
  metrics.accuracy = std::numeric_limits<double>::quiet_NaN();
  metrics.loss = 0.5;
  const std::string text = MetricsJson(metrics).Dump();
  EXPECT_NE(text.find("\"accuracy\":null"), std::string::npos) << text;
  EXPECT_NE(text.find("\"loss\":0.5"), std::string::npos) << text;
}

}  // namespace
}  // namespace linnet

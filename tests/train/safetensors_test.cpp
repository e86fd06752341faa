#include "train/safetensors.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "tests/train/temporary_folder.h"
#include "train/error.h"

namespace locus {
namespace {

// A file of `header` and `data`; the length field tells the truth unless `claimed` says otherwise.
std::string file_bytes(const std::string& header, const std::string& data, std::uint64_t claimed = 0) {
    const std::uint64_t length = claimed != 0 ? claimed : header.size();
    std::string bytes(8, '\0');
    std::memcpy(bytes.data(), &length, 8);
    return bytes + header + data;
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape, int begin, int end) {
    return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":[" +
           std::to_string(begin) + "," + std::to_string(end) + "]}";
}

class Safetensors : public ::testing::Test {
protected:
    std::filesystem::path write(const std::string& bytes) {
        write_text(folder_ / "x.safetensors", bytes);
        return folder_ / "x.safetensors";
    }
    // The message that opening such a file gives; "opened" if it gave none.
    std::string message(const std::string& bytes) {
        try {
            const SafetensorsFile file(write(bytes));
            return "opened";
        } catch (const FileError& error) {
            return error.what();
        }
    }
    void expect_refused(const std::string& bytes, const std::string& part) {
        const std::string text = message(bytes);
        EXPECT_NE(text.find(part), std::string::npos) << text;
        EXPECT_NE(text.find("x.safetensors"), std::string::npos) << text;
    }

    TemporaryFolder folder_;
};

std::string bytes_of(const void* data, std::size_t count) { return {static_cast<const char*>(data), count}; }

TEST_F(Safetensors, RoundTripKeepsEveryBitAndTheMetadata) {
    std::vector<float> floats = {1.5F, -0.0F, std::numeric_limits<float>::infinity(), 1e-42F, 3.0F, 7.0F};
    std::vector<double> doubles = {M_PI, -1e300};
    std::vector<std::int32_t> ints = {-1, 2, 2147483647};
    const auto path = folder_ / "round.safetensors";
    write_safetensors(path,
                      {{"b.floats", Tensor(floats.data(), {2, 3}, DType::float32)},
                       {"a.doubles", Tensor(doubles.data(), {2}, DType::float64)},
                       {"ints", Tensor(ints.data(), {3, 1}, DType::int32)},
                       {"nothing", Tensor(ints.data(), {0, 4}, DType::int32)},
                       {"scalar", Tensor(ints.data(), {}, DType::int32)}},
                      {{"format", "pt"}});
    const SafetensorsFile file(path);
    EXPECT_EQ(file.metadata().at("format"), "pt");
    EXPECT_EQ(file.tensors().size(), 5U);
    EXPECT_EQ(bytes_of(file.at("b.floats").data, 24), bytes_of(floats.data(), 24));
    EXPECT_EQ(bytes_of(file.at("a.doubles").data, 16), bytes_of(doubles.data(), 16));
    EXPECT_EQ(file.at("nothing").bytes, 0U);
    EXPECT_TRUE(file.at("scalar").shape.empty());
    std::vector<std::int32_t> back(3);
    copy_stored(file.at("ints"), "ints", Tensor(back.data(), {3, 1}, DType::int32));
    EXPECT_EQ(back, ints);
    EXPECT_THROW(file.at("absent"), FileError);
}

TEST_F(Safetensors, TheSameTensorsGiveTheSameBytesAndTheDataAreAligned) {
    std::vector<float> values = {1, 2, 3};
    const std::vector<NamedTensor> tensors = {{"x", Tensor(values.data(), {3}, DType::float32)}};
    write_safetensors(folder_ / "1", tensors);
    write_safetensors(folder_ / "2", tensors);
    const std::string bytes = read_text(folder_ / "1");
    EXPECT_EQ(bytes, read_text(folder_ / "2"));
    std::uint64_t header = 0;
    std::memcpy(&header, bytes.data(), 8);
    EXPECT_EQ((8 + header) % 64, 0U);
    EXPECT_EQ(bytes.size(), 8 + header + 12);
}

TEST_F(Safetensors, HeaderOfAnyAlignmentIsRead) {
    for (int spaces = 0; spaces < 8; ++spaces) {
        const std::string header =
            "{" + entry("x", "F64", "[1]", 0, 8) + "}" + std::string(static_cast<std::size_t>(spaces), ' ');
        const double value = 0.1;
        std::string data(8, '\0');
        std::memcpy(data.data(), &value, 8);
        const SafetensorsFile file(write(file_bytes(header, data)));
        float read = 0;
        copy_stored(file.at("x"), "x", Tensor(&read, {1}, DType::float32));
        EXPECT_EQ(read, 0.1F);
    }
}

TEST_F(Safetensors, MalformedFilesAreRefusedWithTheReason) {
    const std::string data(8, 'x');
    expect_refused("", "too few");
    expect_refused("1234567", "too few");
    expect_refused(file_bytes("{}", "", 1000), "truncated");
    expect_refused(file_bytes("{}", "", std::numeric_limits<std::uint64_t>::max()), "not a safetensors file");
    expect_refused(file_bytes("{}", "", 200'000'000), "not a safetensors file");
    expect_refused(file_bytes("", "", 0), "begin with");
    expect_refused(file_bytes("[1,2]", ""), "begin with");
    expect_refused(file_bytes("{\"x\":", ""), "not JSON");
    expect_refused(file_bytes("{} x", ""), "not JSON");
    expect_refused(file_bytes("{\"\xff\":1}", ""), "not JSON");
    expect_refused(file_bytes("{" + entry("x", "F31", "[2]", 0, 8) + "}", data), "unknown dtype 'F31'");
    expect_refused(file_bytes("{" + entry("x", "F32", "[2]", 0, 16) + "}", data), "truncated");
    expect_refused(file_bytes("{" + entry("x", "F32", "[3]", 0, 8) + "}", data), "do not fit");
    expect_refused(file_bytes("{" + entry("x", "F32", "[-2]", 0, 8) + "}", data), "not negative");
    expect_refused(file_bytes("{" + entry("x", "F32", "[2.0]", 0, 8) + "}", data), "not negative");
    expect_refused(file_bytes("{" + entry("x", "F32", "[2]", 8, 0) + "}", data), "ends before");
    expect_refused(file_bytes("{" + entry("x", "F32", "[4611686018427387904,4,2]", 0, 8) + "}", data), "do not fit");
    expect_refused(file_bytes("{" + entry("x", "F32", "[18446744073709551615]", 0, 8) + "}", data), "not negative");
    expect_refused(file_bytes("{" + entry("x", "F32", "[1]", 0, 4) + "," + entry("y", "F32", "[2]", 0, 8) + "}", data),
                   "overlaps");
    expect_refused(file_bytes("{" + entry("x", "F32", "[1]", 4, 8) + "}", data), "belong to no tensor");
    expect_refused(file_bytes("{" + entry("x", "F32", "[1]", 0, 4) + "}", data), "belong to none");
    expect_refused(file_bytes("{" + entry("x", "F32", "[1]", 0, 4) + "," + entry("x", "F32", "[1]", 4, 8) + "}", data),
                   "twice");
    expect_refused(file_bytes("{\"x\":{\"dtype\":\"F32\",\"shape\":[2]}}", data), "needs dtype");
    expect_refused(file_bytes("{\"x\":7}", data), "needs dtype");
    expect_refused(file_bytes("{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", data), "needs dtype");
    expect_refused(file_bytes("{\"__metadata__\":{\"a\":1}}", ""), "text to text");
    expect_refused(file_bytes("{\"x\":" + std::string(200'000, '['), ""), "nested too deeply");
    EXPECT_EQ(message(file_bytes("{}", "")), "opened");
    EXPECT_THROW(SafetensorsFile(folder_ / "absent"), FileError);
    EXPECT_THROW(SafetensorsFile(folder_.path()), FileError);
}

// Whatever bytes a file has, opening it either works or gives a FileError. (The sanitizer preset makes this a test of memory, too.)
TEST_F(Safetensors, RandomDamageNeverCrashes) {
    std::vector<float> values(16, 1.0F);
    write_safetensors(folder_ / "good", {{"first", Tensor(values.data(), {2, 4}, DType::float32)},
                                         {"second", Tensor(values.data(), {8}, DType::float32)}});
    const std::string good = read_text(folder_ / "good");
    std::mt19937 random(7);
    int refused = 0;
    for (int round = 0; round < 2000; ++round) {
        std::string bad = good;
        for (unsigned n = 0; n < 1 + random() % 3; ++n) bad[random() % bad.size()] = static_cast<char>(random());
        if (random() % 4 == 0) bad.resize(random() % bad.size());
        refused += message(bad) != "opened" ? 1 : 0;
    }
    EXPECT_GT(refused, 500);
    EXPECT_LT(refused, 2000);  // a change in the data alone is no error of the format
}

TEST_F(Safetensors, ConvertsEveryHalfExactly) {
    std::string data;
    for (unsigned bits = 0; bits < 65536; ++bits)
        data += {static_cast<char>(bits & 255U), static_cast<char>(bits >> 8U)};
    const StoredTensor half = {"F16", {65536}, data.data(), data.size()};
    std::vector<double> values(65536);
    copy_stored(half, "x", Tensor(values.data(), {65536}, DType::float64));
    for (unsigned bits = 0; bits < 65536; ++bits) {
        const int exponent = static_cast<int>((bits >> 10U) & 31U);
        const double mantissa = bits & 1023U;
        const double sign = (bits & 0x8000U) != 0 ? -1 : 1;
        if (exponent == 31) {
            ASSERT_TRUE(mantissa == 0 ? std::isinf(values[bits]) && std::signbit(values[bits]) == (sign < 0)
                                      : std::isnan(values[bits]));
            continue;
        }
        const double expected =
            sign * (exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25));
        ASSERT_EQ(values[bits], expected) << bits;
    }
}

TEST_F(Safetensors, ConvertsBetweenTypesOfOneKindOnly) {
    const std::int64_t wide[2] = {-5, 2147483647};
    const StoredTensor integers = {"I64", {2}, reinterpret_cast<const char*>(wide), 16};
    std::vector<std::int32_t> narrow(2);
    copy_stored(integers, "x", Tensor(narrow.data(), {2}, DType::int32));
    EXPECT_EQ(narrow, (std::vector<std::int32_t>{-5, 2147483647}));

    const std::int64_t too_wide[1] = {2147483648};
    const StoredTensor outside = {"I64", {1}, reinterpret_cast<const char*>(too_wide), 8};
    EXPECT_THROW(copy_stored(outside, "x", Tensor(narrow.data(), {1}, DType::int32)), FileError);

    const std::uint16_t brain[2] = {0x3F80, 0xC000};
    const StoredTensor bf16 = {"BF16", {2}, reinterpret_cast<const char*>(brain), 4};
    std::vector<float> floats(2);
    copy_stored(bf16, "x", Tensor(floats.data(), {2}, DType::float32));
    EXPECT_EQ(floats, (std::vector<float>{1.0F, -2.0F}));

    EXPECT_THROW(copy_stored(integers, "x", Tensor(floats.data(), {2}, DType::float32)), FileError);
    EXPECT_THROW(copy_stored(bf16, "x", Tensor(narrow.data(), {2}, DType::int32)), FileError);
    EXPECT_THROW(copy_stored(bf16, "x", Tensor(floats.data(), {2, 1}, DType::float32)), FileError);
}

}  // namespace
}  // namespace locus

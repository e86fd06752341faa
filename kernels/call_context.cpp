#include "kernels/call_context.h"

#include <algorithm>
#include <vector>

namespace locus {
namespace {

thread_local std::vector<std::string>* noted = nullptr;  // only while a call that failed is checked again

// Checks may look at an argument twice.
void note(const std::string& argument) {
    if (std::find(noted->begin(), noted->end(), argument) == noted->end()) noted->push_back(argument);
}

std::string joined(const std::vector<std::string>& words) {
    std::string all;
    for (const std::string& word : words) all += (all.empty() ? "" : ", ") + word;
    return all;
}

}  // namespace

void note_argument(const char* name, const Tensor& tensor) {
    if (noted == nullptr || !tensor) return;
    note(std::string(name) + " " + name_of(tensor.dtype) + " " + tensor.shape.to_string() +
         (tensor.is_contiguous() ? "" : " with strides " + tensor.strides.to_string()));
}

void note_argument(const char* name, bool is_on) {
    if (noted != nullptr && is_on) note(name);
}

void throw_with_arguments(const GpuError& error, const char* operation, const char* file, int line,
                          const std::function<void()>& check) {
    std::vector<std::string> arguments;
    noted = &arguments;
    try {
        check();
    } catch (...) {  // it passed before the call; the GPU's error is the one to report
    }
    noted = nullptr;
    throw GpuError(std::string(error.what()) + "; called as " + operation + "(" + joined(arguments) + ") of " +
                   place_of(file, line));
}

std::string place_of(const char* file, int line) {
    const std::string path = file;
    const std::size_t room = path.rfind("kernels/");
    return (room == std::string::npos ? path : path.substr(room)) + ":" + std::to_string(line);
}

}  // namespace locus

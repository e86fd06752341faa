#pragma once
// The parameters of a model and their gradients: two contiguous buffers, so that the optimizer and the gradient norm are one pass each.

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/memory.h"
#include "kernels/tensor.h"

namespace locus {

/// How a parameter is filled before training. sinusoidal: row i is (sin(i w_0), cos(i w_0), sin(i w_1), ...), w_c = 10000^(-2 c / columns),
/// scaled to the deviation that normal would have. fan_in: uniform in +-1 / sqrt(columns), as PyTorch starts a convolution. uniform: in +-1.
/// given: the numbers in Parameter::start.
enum class Initialization { normal, zeros, ones, sinusoidal, fan_in, uniform, given };

struct Parameter {
    std::string name;  // the tensor name in the checkpoint
    Tensor value, gradient;
    Tensor rounded;  // the value in bfloat16 where products take it so; absent elsewhere (Parameters::keep_rounded)
    Initialization initialization = Initialization::normal;
    std::vector<double> start = {};  // for Initialization::given
    int zero_row = -1;               // this row starts at 0: padding_idx of the reference models
    bool decay = true;               // weight decay applies (not for biases and norms)
    // DeBERTa v1's in_proj: rows stand here as [3, heads, head_dim], in files as [heads, 3, head_dim]; 0: the same in both.
    std::int64_t heads_interleaved = 0;
};

/// Parameters lie in the order of declaration, without gaps. So parameters declared one after the other are also one larger
/// tensor (query, key and value weights are one [3H, H] matrix): see joined().
class Parameters {
public:
    explicit Parameters(DType dtype) : dtype_(dtype) {}
    Parameters(const Parameters&) = delete;
    Parameters& operator=(const Parameters&) = delete;

    /// Declares a parameter; its memory exists after allocate(). The reference stays valid.
    Parameter& declare(std::string name, Shape shape, Initialization initialization = Initialization::normal);
    /// The same for one that starts as these numbers, in the order of its elements.
    Parameter& declare(std::string name, Shape shape, std::vector<double> start);
    /// Obtains the memory, the processor's: values and gradients, all zero.
    void allocate();
    /// Takes the values to `device`; gradients are zero there. What was made of the old memory (views, variables) is void. Throws GpuError.
    void move_to(Device device);
    Device device() const { return device_; }
    /// On a GPU whose products take bfloat16, after move_to(): from now on the values are kept rounded, too, so that no product rounds its weight itself.
    void keep_rounded();
    /// Rounds the values as they are now, if keep_rounded(). Each forward pass begins with it: whoever changes values need not know of the copy.
    void round() const;

    DType dtype() const { return dtype_; }
    std::int64_t count() const { return count_; }
    const std::deque<Parameter>& all() const { return list_; }
    std::deque<Parameter>& all() { return list_; }
    /// nullptr when there is none of that name.
    Parameter* find(std::string_view name);

    /// All values, all gradients: [count].
    Tensor values() const { return Tensor(values_.data(), {count_}, dtype_, device_); }
    Tensor gradients() const { return Tensor(gradients_.data(), {count_}, dtype_, device_); }
    void zero_gradients();

    /// Fills every parameter by its Initialization: normal(0, deviation) from Philox keyed by the seed and the name after its first dot, so
    /// that two models of one seed share what they have in common, whatever else is in them.
    void initialize(std::uint32_t seed, double deviation);

private:
    void obtain(Device device);

    DType dtype_;
    Device device_ = Device::cpu;
    std::int64_t count_ = 0;
    std::deque<Parameter> list_;
    Buffer values_, gradients_, rounded_;
};

/// Parameters declared one after the other, first..last, as one: a view with the first axes added up.
Parameter joined(const Parameter& first, const Parameter& last);

/// A parameter under another shape of equal count: a view.
Parameter reshaped(const Parameter& whole, Shape shape);

/// Rows begin .. end - 1 of a parameter: a view.
Parameter rows_of(const Parameter& whole, std::int64_t begin, std::int64_t end);

}  // namespace locus

// recursive: every position's vector is made from the one before, by a learned function that sees no word. With an ODE solver inside: FLOATER.
//
//   formula        x_i = e_i + p_i,   p_{i+1} = f(p_i),   e_i = word[id_i] + type[t_i]
//       mlp        p_0 learned,  p_{i+1} = p_i + g(p_i),  g(p) = W2 tanh(W1 p + b1) + b2
//       gru        p_{i+1} = (1 - z) n + z p_i,  r, z = s(U p_i + c),  n = tanh(r (U_n p_i + c_n)): a GRU cell without an input;
//                  p_{-1} learned.   s: the logistic function
//       rotation   p_0 learned,  p_{i+1} = R p_i,  R turns the channels c and c + hidden / 2 by a learned angle w_c. Bounded, and
//                  R^j p_i = p_{i+j}: sinusoidal is this with fixed w and p_0, and it starts there
//       ode        p_0 learned,  p_i = p(i * interval) for dp/dt = g(p, t), g with a term w t beside W1 p: mlp is Euler's method for such an
//                  equation with steps of 1, this is Runge and Kutta's with `steps` steps of interval / steps from a position to the next
//   shapes         p_i [hidden]; W1 [m, hidden], W2 [hidden, m], w, b1 [m], b2 [hidden], m = `width` (0: hidden); U [3 hidden, hidden]
//   parameters     mlp: 2 hidden m + m + 2 hidden; ode: m more; gru: 3 hidden^2 + 4 hidden; rotation: 1.5 hidden
//   cost           as many steps as the longest sequence has tokens, one after the other, but once per batch and of one vector each: what is
//                  serial here does not grow with the batch, and needs no words
//   property       absolute: p_i is a table that follows a rule, with as many parameters for a thousand rows as for ten
//   extrapolation  defined for every position, good only as far as the orbit stays among points that training has seen. gru
//                  contracts as long as its weights are small: after some steps its points are all the same. mlp and ode may run away;
//                  rotation stays on its circles
//   start          mlp and ode: W2 = b2 = 0, a flow that stands still until training moves it; p_0 normal, W1 and U as PyTorch starts a linear
//                  layer
//   source         recursion: Su Jianlin, kexue.fm/archives/8130 (2021). ode: Liu et al. 2020, arXiv:2003.09229 (FLOATER), who feed p into
//                  queries, keys and values of every block and use an adaptive solver; here it is added once and the steps are fixed
#include <cmath>
#include <numeric>

#include "model/error.h"
#include "model/position/position_encoding.h"

namespace locus {
namespace {

class Recursive : public PositionEncoding {
public:
    explicit Recursive(std::int64_t columns) : columns_(columns) {}

    Var embed(Tape& tape, Var x, const ModelInput& input) const override {
        const Var table = points(tape, input.longest);
        return embedding(tape, {{.table = table, .ids = input.rows.positions}}, x);
    }

protected:
    /// p_0 .. p_{count - 1}: [count, hidden].
    virtual Var points(Tape& tape, std::int64_t count) const = 0;

    /// A single sequence of `count` tokens, for recurrences over positions instead of words.
    static AttentionRows one_sequence(Tape& tape, std::int64_t count) {
        const AttentionRows rows = {tape.host_tensor({2}, DType::int32), tape.host_tensor({count}, DType::int32)};
        rows.offsets.as<std::int32_t>()[0] = 0;
        rows.offsets.as<std::int32_t>()[1] = static_cast<std::int32_t>(count);
        std::iota(rows.positions.as<std::int32_t>(), rows.positions.as<std::int32_t>() + count, 0);
        return rows;
    }

    std::int64_t columns_;
};

class Flow : public Recursive {
public:
    Flow(std::int64_t columns, std::int64_t width, FlowSteps steps)
        : Recursive(columns), width_(width), steps_(steps) {}

    void declare_embedding_parameters(Parameters& parameters, const std::string& prefix) override {
        const std::string names = prefix + "position_embeddings.";
        start_ = &parameters.declare(names + "start", {columns_});
        in_weight_ = &parameters.declare(names + "in.weight", {width_, columns_}, Initialization::fan_in);
        if (steps_.solver == Solver::rk4)
            time_weight_ = &parameters.declare(names + "time.weight", {width_}, Initialization::fan_in);
        in_bias_ = &parameters.declare(names + "in.bias", {width_}, Initialization::zeros);
        out_weight_ = &parameters.declare(names + "out.weight", {columns_, width_}, Initialization::zeros);
        out_bias_ = &parameters.declare(names + "out.bias", {columns_}, Initialization::zeros);
    }

private:
    Var points(Tape& tape, std::int64_t count) const override {
        const FlowVariables network = {
            tape.parameter(*in_weight_), time_weight_ == nullptr ? Var() : tape.parameter(*time_weight_),
            tape.parameter(*in_bias_), tape.parameter(*out_weight_), tape.parameter(*out_bias_)};
        return flow(tape, tape.parameter(*start_), network, steps_, count);
    }

    std::int64_t width_;
    FlowSteps steps_;
    const Parameter *start_ = nullptr, *in_weight_ = nullptr, *time_weight_ = nullptr, *in_bias_ = nullptr;
    const Parameter *out_weight_ = nullptr, *out_bias_ = nullptr;
};

class GruOrbit : public Recursive {
public:
    using Recursive::Recursive;

    void declare_embedding_parameters(Parameters& parameters, const std::string& prefix) override {
        const std::string names = prefix + "position_embeddings.";
        start_ = &parameters.declare(names + "start", {columns_});
        weight_ = &parameters.declare(names + "gru.weight", {3 * columns_, columns_}, Initialization::fan_in);
        bias_ = &parameters.declare(names + "gru.bias", {3 * columns_}, Initialization::zeros);
    }

private:
    Var points(Tape& tape, std::int64_t count) const override {
        const Var nothing = zeros(tape, Tensor(nullptr, {count, 3 * columns_}, start_->value.dtype));
        const RecurrentDirection steps = {
            .weight = tape.parameter(*weight_), .bias = tape.parameter(*bias_), .start = tape.parameter(*start_)};
        return recurrent(tape, nothing, Cell::gru, {steps}, one_sequence(tape, count));
    }

    const Parameter *start_ = nullptr, *weight_ = nullptr, *bias_ = nullptr;
};

class Rotation : public Recursive {
public:
    Rotation(std::int64_t columns, double deviation) : Recursive(columns), deviation_(deviation) {}

    void declare_embedding_parameters(Parameters& parameters, const std::string& prefix) override {
        const std::int64_t pairs = columns_ / 2;
        std::vector<double> angles, start(static_cast<std::size_t>(columns_), 0.0);
        for (std::int64_t c = 0; c < pairs; ++c) {
            angles.push_back(-2.0 * static_cast<double>(c) / static_cast<double>(columns_) * std::log(10000.0));
            start[static_cast<std::size_t>(c)] = deviation_ * std::sqrt(2.0);  // a wave's own deviation is 1 / sqrt 2
        }
        const std::string names = prefix + "position_embeddings.";
        start_ = &parameters.declare(names + "start", {1, columns_}, start);
        log_angle_ = &parameters.declare(names + "rotation.log_angle", {pairs}, angles);
    }

private:
    // A linear recurrent unit whose factors have length 1 and that is told p_0 at the first step and nothing more.
    Var points(Tape& tape, std::int64_t count) const override {
        const DType dtype = start_->value.dtype;
        const Tensor ids = tape.host_tensor({count}, DType::int32), weights = tape.host_tensor({count}, DType::float64);
        for (std::int64_t i = 0; i < count; ++i) {
            ids.as<std::int32_t>()[i] = 0;
            weights.as<double>()[i] = i == 0 ? 1 : 0;
        }
        const Var told = embedding(tape, {{.table = tape.parameter(*start_), .ids = ids, .weights = weights}});
        const Tensor shrink = tape.host_tensor({columns_ / 2}, dtype);  // exp(-exp(-80)) = 1 to the last digit
        if (dtype == DType::float64) {
            std::fill_n(shrink.as<double>(), shrink.count(), -80.0);
        } else {
            std::fill_n(shrink.as<float>(), shrink.count(), -80.0F);
        }
        const LruFactors factors = {tape.constant(shrink), tape.parameter(*log_angle_), zeros(tape, shrink)};
        return lru(tape, told, factors, one_sequence(tape, count), 1);
    }

    double deviation_;
    const Parameter *start_ = nullptr, *log_angle_ = nullptr;
};

std::unique_ptr<PositionEncoding> make_recursive(const ModelSettings& model, const PositionSettings& position) {
    const auto& function = std::get<std::string>(position.options.at("function"));
    const std::int64_t columns = model.embedding_columns(),
                       width = std::get<std::int64_t>(position.options.at("width"));
    const std::int64_t steps = std::get<std::int64_t>(position.options.at("steps"));
    const double interval = std::get<double>(position.options.at("interval"));
    if (width < 0) throw ModelError("model.position.width of recursive must be above 0, or 0 for the embeddings' own");
    if (steps < 1) throw ModelError("model.position.steps of recursive must be at least 1");
    if (!(interval > 0)) throw ModelError("model.position.interval of recursive must be above 0");
    if (function == "gru") return std::make_unique<GruOrbit>(columns);
    if (function == "rotation") {
        if (columns % 2 != 0)
            throw ModelError("model.position: recursive with function: rotation turns pairs of the " +
                             std::to_string(columns) + " columns of the embeddings; make them even");
        return std::make_unique<Rotation>(columns, model.initializer_range);
    }
    const FlowSteps flow_steps =
        function == "ode" ? FlowSteps{Solver::rk4, interval, steps} : FlowSteps{Solver::euler, 1.0, 1};
    return std::make_unique<Flow>(columns, width == 0 ? columns : width, flow_steps);
}

}  // namespace

EncodingEntry recursive_encoding() {
    return {
        .name = "recursive",
        .summary =
            "every position's vector is made from the one before, by a learned function; FLOATER with an ODE solver",
        .options = {{.name = "function",
                     .initial = std::string("mlp"),
                     .choices = {"mlp", "gru", "rotation", "ode"},
                     .help = "how the next position's vector is made"},
                    {.name = "width",
                     .initial = std::int64_t{0},
                     .choices = {},
                     .help = "hidden units of mlp and ode; 0: as many as the embeddings have columns"},
                    {.name = "interval",
                     .initial = 0.1,
                     .choices = {},
                     .help = "time from a position to the next, for function: ode"},
                    {.name = "steps",
                     .initial = std::int64_t{1},
                     .choices = {},
                     .help = "of the solver from a position to the next, for function: ode"}},
        .make = make_recursive};
}

}  // namespace locus

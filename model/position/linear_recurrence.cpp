// linear_recurrence: a recurrent net over the input embeddings whose step is linear in the state: recurrent and parallel.
//
//   formula        e_i = word[id_i] + type[t_i];   a state h_i = a_i h_{i-1} + b_i, each channel by itself, where a and b never see h, so
//                  that all matrix products are done for all tokens at once
//       mingru     z_i = s(W_z e_i),  g_i = G(W_h e_i),  h_i = (1 - z_i) h_{i-1} + z_i g_i,   y_i = h_i
//                  s: the logistic function;  G(v) = v + 1/2 where v >= 0, s(v) elsewhere
//       lru        h_i = l h_{i-1} + c (B e_i), complex,   y_i = Re(C h_i) + D e_i,   l = exp(-exp(nu) + i exp(phi)), c = exp(log_c)
//                  a, the factor l, is the same at every token: |l| says how long a channel remembers, its angle what period it keeps
//       states     add: x_i = e_i + y_i;  replace: x_i = y_i
//       directions forward: from left to right; both: half of the states read from right to left
//   shapes         h = hidden numbers of mingru: W_z, W_h [hidden, hidden]; m = `state` complex numbers of lru, when 0 hidden / 2 (rounded up to
//                  an even number for both directions): B [2 m, hidden], C [hidden, 2 m] (real parts, then imaginary ones, for each direction; C's second half stands for -Im C),
//                  D [hidden], nu, phi, log_c [m]
//   parameters     mingru: 2 hidden^2.  lru: 4 m hidden + hidden + 3 m.  The same for one direction and for both
//   cost           these products, and a scan of few operations per number that runs over channels and sequences in parallel. The steps along
//                  a sequence could be a tree of log2(length) levels, since composing linear steps is associative; on this processor the
//                  channels fill it, and the scan runs along the sequence
//   property       as rnn: neither absolute nor relative, the states depend on what came before and in which order; but what a token does to
//                  a state cannot depend on that state
//   extrapolation  any length; |l| < 1 and 0 < z < 1 keep the states within bounds
//   start          lru: l evenly over the ring radius_min <= |l| <= radius_max with angles up to max_phase, c = sqrt(1 - |l|^2), so that
//                  a state of unit inputs has unit size; D = 1
//   source         mingru: Feng et al. 2024, arXiv:2410.01201. lru: Orvieto et al. 2023, arXiv:2303.06349
#include <algorithm>
#include <cmath>
#include <numbers>

#include "model/error.h"
#include "model/position/position_encoding.h"

namespace locus {
namespace {

// What both variants do with their states.
class LinearRecurrence : public PositionEncoding {
public:
    LinearRecurrence(const ModelSettings& model, bool both, bool replace)
        : columns_(model.embedding_columns()), directions_(both ? 2 : 1), replace_(replace) {}

    Var embed(Tape& tape, Var x, const ModelInput& input) const override {
        const Var y = run(tape, x, input.rows);
        return replace_ ? y : add(tape, x, y);
    }

protected:
    virtual Var run(Tape& tape, Var x, const AttentionRows& rows) const = 0;

    std::int64_t columns_, directions_;

private:
    bool replace_;
};

class MinGru : public LinearRecurrence {
public:
    using LinearRecurrence::LinearRecurrence;

    void declare_embedding_parameters(Parameters& parameters, const std::string& prefix) override {
        // For each direction the rows of W_z, then those of W_h.
        weight_ = &parameters.declare(prefix + "position_embeddings.min_gru.weight", {2 * columns_, columns_},
                                      Initialization::fan_in);
    }

private:
    Var run(Tape& tape, Var x, const AttentionRows& rows) const override {
        return min_gru(tape, linear(tape, x, tape.parameter(*weight_)), rows, directions_);
    }

    const Parameter* weight_ = nullptr;
};

struct Ring {
    double radius_min, radius_max, max_phase;
};

class Lru : public LinearRecurrence {
public:
    Lru(const ModelSettings& model, bool both, bool replace, std::int64_t state, Ring ring)
        : LinearRecurrence(model, both, replace), state_(state), ring_(ring) {}

    void declare_embedding_parameters(Parameters& parameters, const std::string& prefix) override {
        const std::string names = prefix + "position_embeddings.lru.";
        // Equal areas of the ring, in an order of angles that never repeats: steps of the golden ratio.
        std::vector<double> nu, phi, log_c;
        for (std::int64_t n = 0; n < state_; ++n) {
            const double k = static_cast<double>(n), inner = ring_.radius_min * ring_.radius_min;
            const double area = inner + (k + 0.5) / static_cast<double>(state_) *
                                            (ring_.radius_max * ring_.radius_max - inner);  // |l|^2
            const double turn = (k + 1) / std::numbers::phi, phase = ring_.max_phase * (turn - std::floor(turn));
            nu.push_back(std::log(-0.5 * std::log(area)));
            phi.push_back(std::log(phase));
            log_c.push_back(0.5 * std::log(1 - area));
        }
        nu_ = &parameters.declare(names + "nu", {state_}, alternating(nu));
        phi_ = &parameters.declare(names + "phi", {state_}, alternating(phi));
        log_c_ = &parameters.declare(names + "log_c", {state_}, alternating(log_c));
        input_ = &parameters.declare(names + "input.weight", {2 * state_, columns_}, Initialization::fan_in);
        output_ = &parameters.declare(names + "output.weight", {columns_, 2 * state_}, Initialization::fan_in);
        skip_ = &parameters.declare(names + "skip.weight", {columns_, 1}, Initialization::ones);
    }

private:
    // Dealt out to the directions in turn, so that each has the whole ring.
    std::vector<double> alternating(const std::vector<double>& values) const {
        std::vector<double> dealt;
        const auto step = static_cast<std::size_t>(directions_);
        for (std::size_t first = 0; first < step; ++first) {
            for (std::size_t n = first; n < values.size(); n += step) dealt.push_back(values[n]);
        }
        return dealt;
    }

    Var run(Tape& tape, Var x, const AttentionRows& rows) const override {
        const LruFactors factors = {tape.parameter(*nu_), tape.parameter(*phi_), tape.parameter(*log_c_)};
        const Var states = lru(tape, linear(tape, x, tape.parameter(*input_)), factors, rows, directions_);
        const Var skip = depthwise_convolution(tape, x, tape.parameter(*skip_), {}, rows, Edges::zeros);  // D e_i
        return add(tape, linear(tape, states, tape.parameter(*output_)), skip);
    }

    std::int64_t state_;
    Ring ring_;
    const Parameter *nu_ = nullptr, *phi_ = nullptr, *log_c_ = nullptr;
    const Parameter *input_ = nullptr, *output_ = nullptr, *skip_ = nullptr;
};

Ring ring_of(const PositionSettings& position) {
    const auto option = [&](const char* name) { return std::get<double>(position.options.at(name)); };
    const Ring ring = {option("radius_min"), option("radius_max"), option("max_phase")};
    if (!(ring.radius_min >= 0 && ring.radius_min < ring.radius_max && ring.radius_max < 1))
        throw ModelError("model.position: linear_recurrence needs 0 <= radius_min < radius_max < 1");
    if (!(ring.max_phase > 0 && ring.max_phase <= 2 * std::numbers::pi + 1e-9))
        throw ModelError("model.position.max_phase of linear_recurrence must lie above 0 and be at most 2 pi");
    return ring;
}

std::unique_ptr<PositionEncoding> make_linear_recurrence(const ModelSettings& model, const PositionSettings& position) {
    const auto text = [&](const char* name) { return std::get<std::string>(position.options.at(name)); };
    const bool both = text("directions") == "both", replace = text("states") == "replace";
    const std::int64_t columns = model.embedding_columns(),
                       asked = std::get<std::int64_t>(position.options.at("state"));
    const std::string halves = "model.position: linear_recurrence with directions: both gives each half of the ";
    if (text("variant") == "mingru") {
        if (asked != 0) throw ModelError("model.position.state belongs to variant: lru; mingru has a state per column");
        if (both && columns % 2 != 0)
            throw ModelError(halves + std::to_string(columns) + " columns of the embeddings; make them even");
        return std::make_unique<MinGru>(model, both, replace);
    }
    const std::int64_t directions = both ? 2 : 1, half = std::max<std::int64_t>(columns / 2, 1);
    const std::int64_t state = asked == 0 ? (half + directions - 1) / directions * directions : asked;
    if (state < 1 || state % directions != 0)
        throw ModelError(halves + std::to_string(state) +
                         " numbers of the state; make model.position.state even and above 0");
    return std::make_unique<Lru>(model, both, replace, state, ring_of(position));
}

}  // namespace

EncodingEntry linear_recurrence_encoding() {
    return {
        .name = "linear_recurrence",
        .summary =
            "a recurrent net over the input embeddings whose step is linear in the state: recurrent and parallel",
        .options = {{.name = "variant",
                     .initial = std::string("mingru"),
                     .choices = {"mingru", "lru"},
                     .help = "factors from the tokens (mingru), or learned and the same for all (lru)"},
                    {.name = "directions",
                     .initial = std::string("both"),
                     .choices = {"both", "forward"},
                     .help = "from which sides the net reads"},
                    {.name = "states",
                     .initial = std::string("add"),
                     .choices = {"add", "replace"},
                     .help = "whether the states are added to the embeddings or stand in their place"},
                    {.name = "state",
                     .initial = std::int64_t{0},
                     .choices = {},
                     .help = "complex numbers of the state, for variant: lru; 0: half the columns of the embeddings"},
                    {.name = "radius_min",
                     .initial = 0.9,
                     .choices = {},
                     .help = "where the factors of variant: lru start: smallest absolute value"},
                    {.name = "radius_max", .initial = 0.999, .choices = {}, .help = "the same: largest, below 1"},
                    {.name = "max_phase",
                     .initial = 2 * std::numbers::pi,
                     .choices = {},
                     .help = "the same: largest angle, at most 2 pi"}},
        .make = make_linear_recurrence};
}

}  // namespace locus

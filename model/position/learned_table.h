#pragma once
// A learned table of positions, and what stands past its last row (absolute.cpp says what each policy means).

#include <array>
#include <string>

#include "model/autograd/operations.h"
#include "model/autograd/parameter.h"

namespace locus {

class LearnedTable {
public:
    /// Throws ModelError when hier_alpha is outside (0, 0.5). `encoding` is the name for that message; `deviation` that of beyond: random.
    LearnedTable(std::string_view encoding, Shape shape, double deviation, std::string beyond, double hier_alpha);

    void declare(Parameters& parameters, const std::string& name, Initialization initial);

    /// 0: any.
    std::int64_t longest_sequence() const;

    /// See PositionEncoding::untrained_rows().
    std::string untrained_rows(std::int64_t length) const;

    /// x + the vector of each row's position, in a batch whose longest sequence has `longest` tokens.
    Var add_rows(Tape& tape, Var x, Tensor positions, std::int64_t longest) const;

    /// Fills `longer` [more rows, columns] with the vectors that sequences of so many tokens get from this table of `values`: what a model with a
    /// longer table starts from.
    void lengthen(const Tensor& values, const Tensor& longer) const;

private:
    // A position's vector as a weighted sum of at most three rows of the table.
    struct Mixture {
        std::array<std::int32_t, 3> row = {0, 0, 0};
        std::array<double, 3> weight = {0, 0, 0};
    };

    Var add_beyond(Tape& tape, Var table, Var x, Tensor positions, std::int64_t longest) const;
    Mixture mixture(std::int64_t i, std::int64_t longest) const;
    Var add_mixtures(Tape& tape, Var table, Var x, Tensor positions, std::int64_t longest) const;
    Var add_random_rows(Tape& tape, Var table, Var x, Tensor positions, std::int64_t longest) const;
    Tensor random_rows(Tape& tape, std::int64_t count, DType dtype) const;

    std::int64_t length_, columns_;
    double deviation_;
    std::string beyond_;
    double hier_alpha_;
    const Parameter* table_ = nullptr;
};

}  // namespace locus

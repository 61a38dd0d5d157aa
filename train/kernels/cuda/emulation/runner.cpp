//! The emulated device as a process: commands on standard input, replies on standard output.
//!
//! A command is its length (u32), a letter, and what belongs to it, little-endian; a reply its length, 0 and what was asked for,
//! or 1 and a message. `A` id bytes: allocates; `F` id: frees; `W` id offset data: writes; `R` id offset bytes: reads; `Z` id offset
//! bytes: zeros; `L`: launches; `P`: a product of matrices. It ends with its input.

#include "grid.h"

#include "faulty.cu"
#include "kernels.inc"

namespace emulation {
namespace {

std::map<uint64_t, std::unique_ptr<Region>> regions;

/// Reads a command from its bytes.
struct Command {
    const unsigned char* at;
    const unsigned char* end;

    template <class T> T take() {
        T value{};
        if (size_t(end - at) >= sizeof(T)) memcpy(&value, at, sizeof(T));
        at += sizeof(T);
        return value;
    }
    std::string take_text() {
        size_t length = take<uint32_t>();
        std::string out(reinterpret_cast<const char*>(at), length);
        at += length;
        return out;
    }
};

/// Of a number, or null and a message.
Region* find(uint64_t id, std::string& fault) {
    auto found = regions.find(id);
    if (found == regions.end()) fault = text("array %llu is not on the device", (unsigned long long)id);
    return found == regions.end() ? nullptr : found->second.get();
}

/// The part of an array that a command names.
struct Part {
    Region* region;
    uint64_t offset;
};

Part take_part(Command& command, uint64_t bytes, std::string& fault) {
    uint64_t id = command.take<uint64_t>(), offset = command.take<uint64_t>();
    Region* region = find(id, fault);
    if (region && offset + bytes > region->bytes.size()) fault = text("bytes %llu and on of %zu", (unsigned long long)offset, region->bytes.size());
    return Part{region, offset};
}

void set_written(Part part, uint64_t bytes) {
    for (uint64_t i = part.offset / 2; i < (part.offset + bytes + 1) / 2; i++) part.region->shadows[i].is_written = true;
}

std::string launch(Command& command) {
    std::string name = command.take_text(), fault;
    Launch launch;
    for (dim3* size : {&launch.grid, &launch.block}) {
        size->x = command.take<uint32_t>();
        size->y = command.take<uint32_t>();
        size->z = command.take<uint32_t>();
    }
    launch.shared_bytes = command.take<uint32_t>();
    std::vector<Argument> arguments(command.take<uint32_t>());
    for (Argument& argument : arguments) {
        argument = Argument();
        argument.is_pointer = command.take<uint8_t>() != 0;
        if (!argument.is_pointer) {
            argument.bits = command.take<uint64_t>();
            continue;
        }
        uint64_t id = command.take<uint64_t>();
        argument.offset = int64_t(command.take<uint64_t>());
        if (id != 0) argument.region = find(id, fault);
    }
    auto kernel = kernels().find(name);
    if (kernel == kernels().end()) fault = "there is no such kernel";
    Body body;
    if (fault.empty()) body = kernel->second(arguments, fault);
    if (fault.empty()) fault = run_grid(launch, body);
    return fault.empty() ? fault : name + ": " + fault;
}

/// One factor, or the result, of a product.
struct Factor {
    Part part;
    uint32_t step;
    bool is_transposed, is_bf16;

    int64_t place(uint32_t row, uint32_t column) const {
        uint64_t index = is_transposed ? uint64_t(column) * step + row : uint64_t(row) * step + column;
        return int64_t(part.offset + index * (is_bf16 ? 2 : 4));
    }
    float read(uint32_t row, uint32_t column) const {
        int64_t at = place(row, column);
        if (is_bf16) return bf16_widen(Place<Bf16>{part.region, at});
        return Place<float>{part.region, at};
    }
    void write(uint32_t row, uint32_t column, float value) const {
        int64_t at = place(row, column);
        if (is_bf16) Place<Bf16>{part.region, at} = bf16_round(value);
        else Place<float>{part.region, at} = value;
    }
};

Factor take_factor(Command& command, std::string& fault) {
    Factor factor;
    factor.part = take_part(command, 0, fault);
    factor.step = command.take<uint32_t>();
    factor.is_transposed = command.take<uint8_t>() != 0;
    factor.is_bf16 = command.take<uint8_t>() != 0;
    return factor;
}

/// `out = scale * left right + keep * out`, sums in f32.
std::string multiply(Command& command) {
    uint32_t rows = command.take<uint32_t>(), columns = command.take<uint32_t>(), depth = command.take<uint32_t>();
    float scale = command.take<float>(), keep = command.take<float>();
    std::string fault;
    Factor left = take_factor(command, fault), right = take_factor(command, fault), out = take_factor(command, fault);
    if (!fault.empty()) return "product: " + fault;
    Body body = [=] {
        std::vector<float> values(size_t(depth) * columns), row(columns);
        for (uint32_t k = 0; k < depth; k++)
            for (uint32_t j = 0; j < columns; j++) values[size_t(k) * columns + j] = right.read(k, j);
        for (uint32_t i = 0; i < rows; i++) {
            row.assign(columns, 0.0f);
            for (uint32_t k = 0; k < depth; k++) {
                float factor = left.read(i, k);
                for (uint32_t j = 0; j < columns; j++) row[j] += factor * values[size_t(k) * columns + j];
            }
            for (uint32_t j = 0; j < columns; j++)
                out.write(i, j, scale * row[j] + (keep == 0.0f ? 0.0f : keep * out.read(i, j)));
        }
    };
    Launch launch;
    fault = run_grid(launch, body);
    return fault.empty() ? fault : "product: " + fault;
}

std::string run(Command command, std::string& data) {
    char letter = command.take<char>();
    std::string fault;
    if (letter == 'L') return launch(command);
    if (letter == 'P') return multiply(command);
    if (letter == 'A') {
        uint64_t id = command.take<uint64_t>();
        regions[id].reset(new Region("an array", command.take<uint64_t>()));
        regions[id]->label = text("array %llu", (unsigned long long)id);
        regions[id]->name = regions[id]->label.c_str();
    } else if (letter == 'F') {
        regions.erase(command.take<uint64_t>());
    } else if (letter == 'W') {
        uint64_t bytes = command.end - command.at - 16;
        Part part = take_part(command, bytes, fault);
        if (!fault.empty()) return fault;
        memcpy(part.region->bytes.data() + part.offset, command.at, bytes);
        set_written(part, bytes);
    } else {
        uint64_t bytes = command.take<uint64_t>();
        Part part = take_part(command, bytes, fault);
        if (!fault.empty()) return fault;
        unsigned char* first = part.region->bytes.data() + part.offset;
        if (letter == 'Z') {
            memset(first, 0, bytes);
            set_written(part, bytes);
            return fault;
        }
        for (uint64_t i = part.offset / 2; i < (part.offset + bytes + 1) / 2; i++)
            if (!part.region->shadows[i].is_written) return "reads back what no kernel wrote: " + part.region->label;
        data.assign(reinterpret_cast<char*>(first), bytes);
    }
    return fault;
}

}  // namespace

Region* find_region(uint64_t id) {
    std::string fault;
    Region* region = find(id, fault);
    if (region == nullptr) end_launch(fault);
    return region;
}

namespace {

bool read_all(void* into, size_t bytes) { return fread(into, 1, bytes, stdin) == bytes; }

}  // namespace
}  // namespace emulation

int main() {
    using namespace emulation;
    std::vector<unsigned char> bytes;
    for (uint32_t length; read_all(&length, 4);) {
        bytes.resize(length);
        if (!read_all(bytes.data(), length)) return 1;
        std::string data, fault = run(Command{bytes.data(), bytes.data() + length}, data);
        std::string reply = fault.empty() ? std::string(1, '\0') + data : std::string(1, '\1') + fault;
        uint32_t size = uint32_t(reply.size());
        fwrite(&size, 4, 1, stdout);
        fwrite(reply.data(), 1, reply.size(), stdout);
        fflush(stdout);
    }
    return 0;
}

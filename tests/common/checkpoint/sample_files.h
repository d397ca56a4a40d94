// Checkpoint files made by hand, byte by byte, so that a test can also make them wrong.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/checkpoint/internal/crc32.h"
#include "common/checkpoint/internal/source.h"

namespace skein {

struct SampleTensor {
  std::string name;
  std::vector<std::uint32_t> shape;
  Format format = Format::kF32;
  std::string data;
};

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// Three small tensors, one of each format, every byte different enough to notice a mix-up.
inline std::vector<SampleTensor> three_tensors() {
  const auto bytes = [](std::size_t count, int first) {
    std::string out;
    for (std::size_t i = 0; i < count; ++i) out.push_back(static_cast<char>(first + 7 * int(i)));
    return out;
  };
  return {{"emb.weight", {3, 2}, Format::kF32, bytes(24, 1)},
          {"blocks.0.att.x_r", {1, 1, 5}, Format::kBf16, bytes(10, 100)},
          {"head.weight", {2, 3}, Format::kF16, bytes(12, 50)}};
}

// ---- zip ----

struct ZipFile {
  std::string name;
  std::string data;
  std::uint16_t flags = 0x0808;  // as torch.save writes them
  std::uint16_t method = 0;
};

struct ZipOptions {
  bool zip64 = false;             // sizes and offsets in zip64 records
  std::int64_t shift_offset = 0;  // added to the last entry's header offset
};

inline void put_zip_directory_entry(std::string& out, const ZipFile& file, std::uint64_t offset,
                                    bool zip64) {
  const auto small = [&](std::uint64_t value) {
    return zip64 ? 0xFFFFFFFFU : static_cast<std::uint32_t>(value);
  };
  std::string extra;
  if (zip64) {
    put<std::uint16_t>(extra, 1);
    put<std::uint16_t>(extra, 24);
    put<std::uint64_t>(extra, file.data.size());
    put<std::uint64_t>(extra, file.data.size());
    put<std::uint64_t>(extra, offset);
  }
  put<std::uint32_t>(out, 0x02014b50);
  put<std::uint32_t>(out, 0);
  put(out, file.flags);
  put(out, file.method);
  put<std::uint32_t>(out, 0);
  put(out, crc32(as_bytes(file.data)));
  put(out, small(file.data.size()));
  put(out, small(file.data.size()));
  put(out, static_cast<std::uint16_t>(file.name.size()));
  put(out, static_cast<std::uint16_t>(extra.size()));
  out.append(10, '\0');
  put(out, small(offset));
  out += file.name + extra;
}

inline std::string zip_of(const std::vector<ZipFile>& files, const ZipOptions& options = {}) {
  std::string out;
  std::string directory;
  for (const ZipFile& file : files) {
    std::uint64_t offset = out.size();
    put<std::uint32_t>(out, 0x04034b50);
    out.append(22, '\0');  // torch.save leaves the sizes to the directory
    put(out, static_cast<std::uint16_t>(file.name.size()));
    put<std::uint16_t>(out, 0);
    out += file.name + file.data;
    if (&file == &files.back()) offset += static_cast<std::uint64_t>(options.shift_offset);
    put_zip_directory_entry(directory, file, offset, options.zip64);
  }
  const std::uint64_t offset = out.size();
  out += directory;
  if (options.zip64) {
    const std::uint64_t record = out.size();
    put<std::uint32_t>(out, 0x06064b50);
    put<std::uint64_t>(out, 44);
    out.append(12, '\0');
    put<std::uint64_t>(out, files.size());
    put<std::uint64_t>(out, files.size());
    put<std::uint64_t>(out, directory.size());
    put(out, offset);
    put<std::uint32_t>(out, 0x07064b50);
    put<std::uint32_t>(out, 0);
    put(out, record);
    put<std::uint32_t>(out, 1);
  }
  put<std::uint32_t>(out, 0x06054b50);
  put<std::uint32_t>(out, 0);
  put(out, static_cast<std::uint16_t>(options.zip64 ? 0xFFFF : files.size()));
  put(out, static_cast<std::uint16_t>(options.zip64 ? 0xFFFF : files.size()));
  put(out, options.zip64 ? 0xFFFFFFFFU : static_cast<std::uint32_t>(directory.size()));
  put(out, options.zip64 ? 0xFFFFFFFFU : static_cast<std::uint32_t>(offset));
  put<std::uint16_t>(out, 0);
  return out;
}

// ---- pickle ----

inline std::string pickled_text(std::string_view text) {
  std::string out = "X";
  put(out, static_cast<std::uint32_t>(text.size()));
  return out + std::string(text);
}

inline std::string pickled_int(std::uint32_t value) {
  std::string out = "J";
  put(out, value);
  return out;
}

inline std::string pickled_sizes(const std::vector<std::uint32_t>& sizes) {
  std::string out = "(";
  for (const std::uint32_t size : sizes) out += pickled_int(size);
  return out + "t";
}

inline std::string pickled_storage(std::string_view storage_class, std::string_view key,
                                   std::uint32_t elements) {
  return "(" + pickled_text("storage") + "ctorch\n" + std::string(storage_class) + "\n" +
         pickled_text(key) + pickled_text("cpu") + pickled_int(elements) + "tQ";
}

inline std::vector<std::uint32_t> row_major(const std::vector<std::uint32_t>& shape) {
  std::vector<std::uint32_t> strides(shape.size(), 1);
  for (std::size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

struct PickledView {
  std::string storage;
  std::uint32_t first = 0;
  std::vector<std::uint32_t> shape;
  std::vector<std::uint32_t> strides;
};

inline std::string pickled_tensor(const PickledView& view) {
  return "ctorch._utils\n_rebuild_tensor_v2\n(" + view.storage + pickled_int(view.first) +
         pickled_sizes(view.shape) + pickled_sizes(view.strides) +
         "\x89"
         "ccollections\nOrderedDict\n)RtR";
}

inline std::string pickle_of(const std::vector<SampleTensor>& tensors) {
  std::string out = "\x80\x02}(";
  int key = 0;
  for (const SampleTensor& tensor : tensors) {
    const std::string_view storage_class = tensor.format == Format::kF32   ? "FloatStorage"
                                           : tensor.format == Format::kF16 ? "HalfStorage"
                                                                           : "BFloat16Storage";
    const auto elements =
        static_cast<std::uint32_t>(tensor.data.size() / element_bytes(tensor.format));
    out += pickled_text(tensor.name);
    out += pickled_tensor({.storage = pickled_storage(storage_class, std::to_string(key), elements),
                           .shape = tensor.shape,
                           .strides = row_major(tensor.shape)});
    ++key;
  }
  return out + "u.";
}

inline std::vector<ZipFile> pth_entries(const std::string& pickle,
                                        const std::vector<SampleTensor>& tensors) {
  std::vector<ZipFile> files = {{"archive/data.pkl", pickle}, {"archive/byteorder", "little"}};
  int key = 0;
  for (const SampleTensor& tensor : tensors) {
    files.push_back({"archive/data/" + std::to_string(key++), tensor.data});
  }
  return files;
}

inline std::string pth_of(const std::vector<SampleTensor>& tensors, const ZipOptions& zip = {}) {
  return zip_of(pth_entries(pickle_of(tensors), tensors), zip);
}

// ---- safetensors ----

inline std::string safetensors_with(const std::string& header, const std::string& data) {
  std::string out;
  put<std::uint64_t>(out, header.size());
  return out + header + data;
}

inline std::string safetensors_of(const std::vector<SampleTensor>& tensors) {
  std::string header = R"({"__metadata__":{"made":"by hand"})";
  std::string data;
  for (const SampleTensor& tensor : tensors) {
    const std::string dtype = tensor.format == Format::kF32   ? "F32"
                              : tensor.format == Format::kF16 ? "F16"
                                                              : "BF16";
    header += ",\"" + tensor.name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":[";
    for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
      header += (i != 0 ? "," : "") + std::to_string(tensor.shape[i]);
    }
    header += "],\"data_offsets\":[" + std::to_string(data.size()) + ",";
    data += tensor.data;
    header += std::to_string(data.size()) + "]}";
  }
  return safetensors_with(header + "}  ", data);
}

// ---- rwkv.cpp ----

inline std::string rwkv_cpp_header(std::uint32_t version = 101, std::uint32_t type = 0) {
  std::string out;
  for (const std::uint32_t field : {0x67676d66U, version, 3U, 2U, 1U, type}) put(out, field);
  return out;
}

inline std::string rwkv_cpp_tensor(const SampleTensor& tensor, std::uint32_t type) {
  std::string out;
  put(out, static_cast<std::uint32_t>(tensor.shape.size()));
  put(out, static_cast<std::uint32_t>(tensor.name.size()));
  put(out, type);
  for (std::size_t i = tensor.shape.size(); i-- > 0;) put(out, tensor.shape[i]);
  return out + tensor.name + tensor.data;
}

}  // namespace skein

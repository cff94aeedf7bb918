/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The extension module p2pool.dash._sha256: SHA-256 and merkle trees for Python. Only long work releases the
 * interpreter's lock: to take it again may cost more than a few hashes.
 */
#include <Python.h>

#include <string.h>

#include "sha256.h"

#define LONG_DATA 8192 /* bytes */
#define MANY_HASHES 512

static PyObject *to_bytes(const uint8_t *bytes, size_t size)
{
    return PyBytes_FromStringAndSize((const char *)bytes, (Py_ssize_t)size);
}

static int expect_arguments(Py_ssize_t count, Py_ssize_t expected)
{
    if (count != expected)
        PyErr_Format(PyExc_TypeError, "expected %zd arguments, not %zd", expected, count);
    return count == expected;
}

/* Return the bytes of an object that must be a `bytes` of `size` bytes; NULL with an exception set if it is not. */
static const uint8_t *bytes_of(PyObject *object, Py_ssize_t size)
{
    char *bytes;
    Py_ssize_t length;

    if (PyBytes_AsStringAndSize(object, &bytes, &length) < 0)
        return NULL;
    if (length != size) {
        PyErr_Format(PyExc_ValueError, "expected %zd bytes, not %zd", size, length);
        return NULL;
    }
    return (const uint8_t *)bytes;
}

/* Hash what a buffer holds, from a state that `hashed` bytes led to; `times` is 1 or 2. */
static PyObject *hash_buffer(PyObject *object, uint32_t state[8], uint64_t hashed, int times)
{
    uint8_t digest[SHA256_DIGEST];
    Py_buffer buffer;

    if (PyObject_GetBuffer(object, &buffer, PyBUF_SIMPLE) < 0)
        return NULL;
    PyThreadState *const released = buffer.len > LONG_DATA ? PyEval_SaveThread() : NULL;
    sha256_finish(state, hashed, buffer.buf, (size_t)buffer.len, digest);
    if (released != NULL)
        PyEval_RestoreThread(released);
    PyBuffer_Release(&buffer);
    if (times == 2)
        sha256_hash(digest, sizeof digest, digest);
    return to_bytes(digest, sizeof digest);
}

PyDoc_STRVAR(sha256_doc, "sha256(data, /)\n--\n\nReturn the SHA-256 of the data. For tests.");

static PyObject *sha256(PyObject *module, PyObject *data)
{
    uint32_t state[8];
    (void)module;
    memcpy(state, sha256_initial, sizeof state);
    return hash_buffer(data, state, 0, 1);
}

PyDoc_STRVAR(sha256d_doc, "sha256d(data, /)\n--\n\nReturn the SHA-256 of the SHA-256 of the data.");

static PyObject *sha256d(PyObject *module, PyObject *data)
{
    uint32_t state[8];
    (void)module;
    memcpy(state, sha256_initial, sizeof state);
    return hash_buffer(data, state, 0, 2);
}

PyDoc_STRVAR(compress_doc,
             "compress(state, blocks, /)\n--\n\nReturn the state of SHA-256 (32 bytes) after blocks of 64 bytes.");

static PyObject *compress(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    uint32_t state[8];
    uint8_t result[SHA256_DIGEST];
    char *blocks;
    Py_ssize_t size;
    (void)module;

    const uint8_t *before = expect_arguments(count, 2) ? bytes_of(arguments[0], SHA256_DIGEST) : NULL;
    if (before == NULL || PyBytes_AsStringAndSize(arguments[1], &blocks, &size) < 0)
        return NULL;
    if (size % SHA256_BLOCK) {
        PyErr_Format(PyExc_ValueError, "%zd bytes are not whole blocks", size);
        return NULL;
    }
    sha256_load_state(state, before);
    sha256_compress(state, (const uint8_t *)blocks, (size_t)size / SHA256_BLOCK);
    sha256_store_state(state, result);
    return to_bytes(result, sizeof result);
}

/* Hash (state, hashed, data) `times` times. */
static PyObject *continue_hash(PyObject *const *arguments, Py_ssize_t count, int times)
{
    uint32_t state[8];

    const uint8_t *before = expect_arguments(count, 3) ? bytes_of(arguments[0], SHA256_DIGEST) : NULL;
    if (before == NULL)
        return NULL;
    const unsigned long long hashed = PyLong_AsUnsignedLongLong(arguments[1]);
    if (PyErr_Occurred())
        return NULL;
    if (hashed % SHA256_BLOCK) {
        PyErr_Format(PyExc_ValueError, "%llu bytes are not whole blocks", hashed);
        return NULL;
    }
    sha256_load_state(state, before);
    return hash_buffer(arguments[2], state, hashed, times);
}

PyDoc_STRVAR(continue_sha256_doc,
             "continue_sha256(state, hashed, data, /)\n--\n\nReturn the SHA-256 of a message whose first `hashed` bytes, "
             "a multiple of 64, led to a state (32 bytes), and which goes on with the data.");

static PyObject *continue_sha256(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    (void)module;
    return continue_hash(arguments, count, 1);
}

PyDoc_STRVAR(continue_sha256d_doc,
             "continue_sha256d(state, hashed, data, /)\n--\n\nReturn the SHA-256 of the SHA-256 of a message whose first "
             "`hashed` bytes, a multiple of 64, led to a state (32 bytes), and which goes on with the data.");

static PyObject *continue_sha256d(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    (void)module;
    return continue_hash(arguments, count, 2);
}

/* Return the 32 bytes of a hash in a tuple or list, which keeps them; NULL with an exception set. */
static const uint8_t *hash_at(PyObject *sequence, Py_ssize_t index)
{
    PyObject *hash = PyTuple_Check(sequence) ? PyTuple_GetItem(sequence, index) : PyList_GetItem(sequence, index);
    return hash == NULL ? NULL : bytes_of(hash, SHA256_DIGEST);
}

/* Copy the hashes of a tuple or list to `hashes`, which has room for them. Return -1 with an exception set if one is not
 * 32 bytes long. */
static int copy_hashes(PyObject *sequence, Py_ssize_t count, uint8_t *hashes)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        const uint8_t *bytes = hash_at(sequence, i);
        if (bytes == NULL)
            return -1;
        memcpy(hashes + i * SHA256_DIGEST, bytes, SHA256_DIGEST);
    }
    return 0;
}

/* Return the length of a tuple or list; -1 with an exception set if it is something else. */
static Py_ssize_t length_of(PyObject *sequence)
{
    if (PyTuple_Check(sequence))
        return PyTuple_Size(sequence);
    if (PyList_Check(sequence))
        return PyList_Size(sequence);
    PyErr_SetString(PyExc_TypeError, "expected a tuple or list of hashes");
    return -1;
}

/* Return memory with the hashes of a tuple or list after `before` zero hashes, and room for one more; `count` becomes
 * the number of all. NULL with an exception set. */
static uint8_t *hashes_of(PyObject *sequence, Py_ssize_t before, Py_ssize_t *count)
{
    const Py_ssize_t length = length_of(sequence);
    if (length < 0)
        return NULL;
    uint8_t *hashes = PyMem_Malloc(((size_t)length + (size_t)before + 1) * SHA256_DIGEST);
    if (hashes == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    memset(hashes, 0, (size_t)before * SHA256_DIGEST);
    if (copy_hashes(sequence, length, hashes + before * SHA256_DIGEST) < 0) {
        PyMem_Free(hashes);
        return NULL;
    }
    *count = length + before;
    return hashes;
}

PyDoc_STRVAR(merkle_root_doc,
             "merkle_root(hashes, /)\n--\n\nReturn the root over hashes of 32 bytes; 32 zero bytes if there are none.");

static PyObject *root_of(PyObject *module, PyObject *sequence)
{
    uint8_t root[SHA256_DIGEST] = {0};
    Py_ssize_t count;
    uint8_t *hashes = hashes_of(sequence, 0, &count);
    (void)module;
    if (hashes == NULL)
        return NULL;
    PyThreadState *const released = count > MANY_HASHES ? PyEval_SaveThread() : NULL;
    if (count)
        merkle_root(hashes, (size_t)count, root);
    if (released != NULL)
        PyEval_RestoreThread(released);
    PyMem_Free(hashes);
    return to_bytes(root, sizeof root);
}

/* Return the branch of a leaf as a list of hashes, and free `hashes`. */
static PyObject *branch_of(uint8_t *hashes, Py_ssize_t count, Py_ssize_t index)
{
    uint8_t branch[64 * SHA256_DIGEST];
    PyThreadState *const released = count > MANY_HASHES ? PyEval_SaveThread() : NULL;
    const Py_ssize_t length = (Py_ssize_t)merkle_branch(hashes, (size_t)count, (size_t)index, branch);
    if (released != NULL)
        PyEval_RestoreThread(released);
    PyMem_Free(hashes);
    PyObject *result = PyList_New(length);
    for (Py_ssize_t i = 0; result != NULL && i < length; i++) {
        PyObject *hash = to_bytes(branch + i * SHA256_DIGEST, SHA256_DIGEST);
        if (hash == NULL || PyList_SetItem(result, i, hash) < 0)
            Py_CLEAR(result);
    }
    return result;
}

PyDoc_STRVAR(merkle_branch_doc,
             "merkle_branch(hashes, index, /)\n--\n\nReturn the branch of the leaf at an index, a list of hashes. "
             "IndexError if there is no such leaf.");

static PyObject *any_branch(PyObject *module, PyObject *const *arguments, Py_ssize_t argument_count)
{
    Py_ssize_t count;
    (void)module;
    if (!expect_arguments(argument_count, 2))
        return NULL;
    const Py_ssize_t index = PyNumber_AsSsize_t(arguments[1], PyExc_IndexError);
    uint8_t *hashes = PyErr_Occurred() ? NULL : hashes_of(arguments[0], 0, &count);
    if (hashes == NULL)
        return NULL;
    if (index < 0 || index >= (count ? count : 1)) {
        PyMem_Free(hashes);
        PyErr_Format(PyExc_IndexError, "no leaf %zd among %zd", index, count);
        return NULL;
    }
    return branch_of(hashes, count, index);
}

PyDoc_STRVAR(coinbase_branch_doc,
             "coinbase_branch(other_hashes, /)\n--\n\nReturn the branch of the coinbase, which is not known yet, over the "
             "other transactions.");

static PyObject *coinbase_branch(PyObject *module, PyObject *sequence)
{
    Py_ssize_t count;
    uint8_t *hashes = hashes_of(sequence, 1, &count);
    (void)module;
    return hashes == NULL ? NULL : branch_of(hashes, count, 0);
}

PyDoc_STRVAR(walk_branch_doc,
             "walk_branch(leaf, branch, index, /)\n--\n\nReturn the root over a leaf at an index. ValueError if the index "
             "does not fit the branch.");

static PyObject *walk_branch(PyObject *module, PyObject *const *arguments, Py_ssize_t argument_count)
{
    uint8_t value[SHA256_DIGEST];
    (void)module;

    const uint8_t *leaf = expect_arguments(argument_count, 3) ? bytes_of(arguments[0], SHA256_DIGEST) : NULL;
    const Py_ssize_t length = leaf == NULL ? -1 : length_of(arguments[1]);
    if (length < 0)
        return NULL;
    unsigned long long index = PyLong_AsUnsignedLongLong(arguments[2]);
    if (PyErr_Occurred())
        return NULL;
    memcpy(value, leaf, sizeof value);
    for (Py_ssize_t i = 0; i < length; i++, index >>= 1) {
        const uint8_t *sibling = hash_at(arguments[1], i);
        if (sibling == NULL)
            return NULL;
        merkle_step(value, sibling, (int)(index & 1));
    }
    if (index) {
        PyErr_SetString(PyExc_ValueError, "index too large");
        return NULL;
    }
    return to_bytes(value, sizeof value);
}

PyDoc_STRVAR(levels_doc,
             "levels()\n--\n\nReturn the names of the sets of instructions that the processor has, the fastest last.");

static PyObject *levels(PyObject *module, PyObject *none)
{
    const int count = (int)sha256_supported() + 1;
    PyObject *names = PyTuple_New(count);
    (void)module;
    (void)none;
    for (int i = 0; names != NULL && i < count; i++) {
        PyObject *name = PyUnicode_FromString(sha256_level_names[i]);
        if (name == NULL || PyTuple_SetItem(names, i, name) < 0)
            Py_CLEAR(names);
    }
    return names;
}

PyDoc_STRVAR(select_doc,
             "select(level, /)\n--\n\nUse a set of instructions that `levels` names. For tests: no other thread may hash at "
             "that time.");

static PyObject *select_level(PyObject *module, PyObject *argument)
{
    (void)module;
    for (int i = 0; i <= (int)sha256_supported(); i++) {
        PyObject *name = PyUnicode_FromString(sha256_level_names[i]);
        const int equal = name == NULL ? -1 : PyObject_RichCompareBool(argument, name, Py_EQ);
        Py_XDECREF(name);
        if (equal < 0)
            return NULL;
        if (equal) {
            sha256_select((enum sha256_level)i);
            Py_RETURN_NONE;
        }
    }
    PyErr_Format(PyExc_ValueError, "this processor has no %R", argument);
    return NULL;
}

#define FAST(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef methods[] = {
    {"sha256", sha256, METH_O, sha256_doc},
    {"sha256d", sha256d, METH_O, sha256d_doc},
    {"compress", FAST(compress), METH_FASTCALL, compress_doc},
    {"continue_sha256", FAST(continue_sha256), METH_FASTCALL, continue_sha256_doc},
    {"continue_sha256d", FAST(continue_sha256d), METH_FASTCALL, continue_sha256d_doc},
    {"merkle_root", root_of, METH_O, merkle_root_doc},
    {"merkle_branch", FAST(any_branch), METH_FASTCALL, merkle_branch_doc},
    {"coinbase_branch", coinbase_branch, METH_O, coinbase_branch_doc},
    {"walk_branch", FAST(walk_branch), METH_FASTCALL, walk_branch_doc},
    {"levels", levels, METH_NOARGS, levels_doc},
    {"select", select_level, METH_O, select_doc},
    {NULL, NULL, 0, NULL},
};

static int execute(PyObject *module)
{
    (void)module;
    sha256_init();
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)execute},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_sha256",
    .m_doc = "SHA-256 and merkle trees, in C.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__sha256(void)
{
    return PyModuleDef_Init(&definition);
}

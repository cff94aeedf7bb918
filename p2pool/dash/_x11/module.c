/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The extension module p2pool.dash._x11: X11 for Python. Hashing does not hold the interpreter's lock.
 */
#include <Python.h>

#include <string.h>

#include "chain.h"

/* Return the bytes of an object that must be a `bytes` of `size` bytes; any size if that is negative. NULL with an
 * exception set if it is not. Only `bytes` are accepted: nobody can change them while the lock is released. */
static const uint8_t *bytes_of(PyObject *object, Py_ssize_t size, Py_ssize_t *found)
{
    char *bytes;
    Py_ssize_t length;

    if (PyBytes_AsStringAndSize(object, &bytes, &length) < 0)
        return NULL;
    if (size >= 0 && length != size) {
        PyErr_Format(PyExc_ValueError, "expected %zd bytes, not %zd", size, length);
        return NULL;
    }
    if (found != NULL)
        *found = length;
    return (const uint8_t *)bytes;
}

static PyObject *to_bytes(const uint8_t *bytes, Py_ssize_t size)
{
    return PyBytes_FromStringAndSize((const char *)bytes, size);
}

PyDoc_STRVAR(x11_doc, "x11(header, /)\n--\n\nReturn the 32 bytes of the X11 hash of an 80-byte header.");

static PyObject *x11(PyObject *module, PyObject *header)
{
    uint8_t digest[X11_DIGEST];
    const uint8_t *bytes = bytes_of(header, X11_HEADER, NULL);
    (void)module;
    if (bytes == NULL)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    x11_hash(bytes, digest);
    Py_END_ALLOW_THREADS
    return to_bytes(digest, X11_DIGEST);
}

/* Hash `count` headers, which `list` holds. */
static PyObject *hash_list(PyObject *list, Py_ssize_t count, const uint8_t **headers, uint8_t *digests)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        headers[i] = bytes_of(PyList_GetItem(list, i), X11_HEADER, NULL);
        if (headers[i] == NULL)
            return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    x11_hash_many(headers, (size_t)count, digests);
    Py_END_ALLOW_THREADS
    PyObject *result = PyList_New(count);
    for (Py_ssize_t i = 0; result != NULL && i < count; i++) {
        PyObject *digest = to_bytes(digests + i * X11_DIGEST, X11_DIGEST);
        if (digest == NULL || PyList_SetItem(result, i, digest) < 0)
            Py_CLEAR(result);
    }
    return result;
}

PyDoc_STRVAR(x11_many_doc,
             "x11_many(headers, /)\n--\n\nReturn the X11 hashes of a sequence of 80-byte headers, in its order.");

static PyObject *x11_many(PyObject *module, PyObject *sequence)
{
    PyObject *list = PySequence_List(sequence); /* keeps the headers while the lock is released */
    PyObject *result = NULL;
    (void)module;
    if (list == NULL)
        return NULL;
    const Py_ssize_t count = PyList_Size(list);
    const uint8_t **headers = PyMem_Calloc((size_t)count + 1, sizeof *headers);
    uint8_t *digests = PyMem_Calloc((size_t)count + 1, X11_DIGEST);
    if (headers != NULL && digests != NULL)
        result = hash_list(list, count, headers, digests);
    else
        PyErr_NoMemory();
    PyMem_Free(headers);
    PyMem_Free(digests);
    Py_DECREF(list);
    return result;
}

/* Return the index of a function's name; -1 with an exception set if there is none. */
static int function_named(const char *name)
{
    for (int i = 0; i < X11_FUNCTIONS; i++)
        if (strcmp(x11_functions[i].name, name) == 0)
            return i;
    PyErr_Format(PyExc_ValueError, "no function of X11 is called %s", name);
    return -1;
}

PyDoc_STRVAR(digest_doc,
             "digest(name, message, /)\n--\n\nReturn the 64 bytes of one of the eleven functions' hash of a message of "
             "any length, by portable code. For tests.");

static PyObject *digest(PyObject *module, PyObject *arguments)
{
    const char *name;
    PyObject *message;
    Py_ssize_t length;
    uint8_t result[64];
    (void)module;
    if (!PyArg_ParseTuple(arguments, "sO:digest", &name, &message))
        return NULL;
    const int function = function_named(name);
    const uint8_t *bytes = function < 0 ? NULL : bytes_of(message, -1, &length);
    if (bytes == NULL)
        return NULL;
    x11_functions[function].any(bytes, (size_t)length, result);
    return to_bytes(result, sizeof result);
}

PyDoc_STRVAR(step_doc,
             "step(name, message, /)\n--\n\nReturn the 64 bytes of one of the eleven functions' hash of a message as "
             "long as in X11, by the selected instructions. For tests.");

static PyObject *step(PyObject *module, PyObject *arguments)
{
    const char *name;
    PyObject *message;
    uint8_t result[64];
    (void)module;
    if (!PyArg_ParseTuple(arguments, "sO:step", &name, &message))
        return NULL;
    const int function = function_named(name);
    const uint8_t *bytes =
        function < 0 ? NULL : bytes_of(message, (Py_ssize_t)x11_functions[function].length, NULL);
    if (bytes == NULL)
        return NULL;
    x11_hash_fixed(function, bytes, result);
    return to_bytes(result, sizeof result);
}

PyDoc_STRVAR(step_four_doc,
             "step_four(name, first, second, third, fourth, /)\n--\n\nReturn what `step` returns of four messages, "
             "hashed side by side and joined. For tests.");

static PyObject *step_four(PyObject *module, PyObject *arguments)
{
    const char *name;
    PyObject *messages[4];
    const uint8_t *in[4];
    uint8_t results[4][64];
    uint8_t *const out[4] = {results[0], results[1], results[2], results[3]};
    (void)module;
    if (!PyArg_ParseTuple(arguments, "sOOOO:step_four", &name, &messages[0], &messages[1], &messages[2],
                          &messages[3]))
        return NULL;
    const int function = function_named(name);
    if (function < 0)
        return NULL;
    for (int i = 0; i < 4; i++) {
        in[i] = bytes_of(messages[i], (Py_ssize_t)x11_functions[function].length, NULL);
        if (in[i] == NULL)
            return NULL;
    }
    x11_hash_four(function, in, out);
    return to_bytes(results[0], sizeof results);
}

PyDoc_STRVAR(levels_doc,
             "levels()\n--\n\nReturn the names of the sets of instructions that the processor has, the fastest last.");

static PyObject *levels(PyObject *module, PyObject *none)
{
    const int count = (int)x11_supported() + 1;
    PyObject *names = PyTuple_New(count);
    (void)module;
    (void)none;
    for (int i = 0; names != NULL && i < count; i++) {
        PyObject *name = PyUnicode_FromString(x11_level_names[i]);
        if (name == NULL || PyTuple_SetItem(names, i, name) < 0)
            Py_CLEAR(names);
    }
    return names;
}

PyDoc_STRVAR(select_doc,
             "select(level, /)\n--\n\nUse a set of instructions that `levels` names, or those below it where it has "
             "nothing. For tests: no other thread may hash at that time.");

static PyObject *select_level(PyObject *module, PyObject *argument)
{
    (void)module;
    for (int i = 0; i <= (int)x11_supported(); i++) {
        PyObject *name = PyUnicode_FromString(x11_level_names[i]);
        const int equal = name == NULL ? -1 : PyObject_RichCompareBool(argument, name, Py_EQ);
        Py_XDECREF(name);
        if (equal < 0)
            return NULL;
        if (equal) {
            x11_select((enum x11_level)i);
            Py_RETURN_NONE;
        }
    }
    PyErr_Format(PyExc_ValueError, "this processor has no %R", argument);
    return NULL;
}

PyDoc_STRVAR(used_doc,
             "used()\n--\n\nReturn the set of instructions that each function uses, by its name, in the order of X11.");

static PyObject *used(PyObject *module, PyObject *none)
{
    PyObject *names = PyDict_New();
    (void)module;
    (void)none;
    for (int i = 0; names != NULL && i < X11_FUNCTIONS; i++) {
        PyObject *level = PyUnicode_FromString(x11_level_names[x11_used(i)]);
        if (level == NULL || PyDict_SetItemString(names, x11_functions[i].name, level) < 0)
            Py_CLEAR(names);
        Py_XDECREF(level);
    }
    return names;
}

static PyMethodDef methods[] = {
    {"x11", x11, METH_O, x11_doc},
    {"x11_many", x11_many, METH_O, x11_many_doc},
    {"digest", digest, METH_VARARGS, digest_doc},
    {"step", step, METH_VARARGS, step_doc},
    {"step_four", step_four, METH_VARARGS, step_four_doc},
    {"levels", levels, METH_NOARGS, levels_doc},
    {"select", select_level, METH_O, select_doc},
    {"used", used, METH_NOARGS, used_doc},
    {NULL, NULL, 0, NULL},
};

static int execute(PyObject *module)
{
    (void)module;
    x11_init();
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)execute},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_x11",
    .m_doc = "X11, the proof of work of Dash, in C.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__x11(void)
{
    return PyModuleDef_Init(&definition);
}

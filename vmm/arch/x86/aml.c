/*
 * ACPI machine language.
 * Input:  names and numbers of our own.
 * Runs:   main thread, before any vCPU.
 * Limits: a block of 4095 bytes.
 *
 * Comments in the form "20.2.4" are sections of the ACPI specification 6.4.
 */
#include "vmm/arch/x86/aml.h"

#include <string.h>

#include "vmm/arch/x86/tables.h"
#include "vmm/base/assert.h"

enum {
        OP_NAME = 0x08,
        OP_BYTE = 0x0a,
        OP_WORD = 0x0b,
        OP_DWORD = 0x0c,
        OP_STRING = 0x0d,
        OP_SCOPE = 0x10,
        OP_BUFFER = 0x11,
        OP_PACKAGE = 0x12,
        OP_METHOD = 0x14,
        OP_EXT = 0x5b,
        OP_EXT_DEVICE = 0x82,
        OP_NOTIFY = 0x86,
};

/* Resource descriptors, 6.4.2 and 6.4.3. */
enum {
        RES_PORTS = 0x47,
        RES_END = 0x79,
        RES_MEMORY_FIXED = 0x86,
        RES_INTERRUPTS = 0x89,
};

/* A method of one argument that does not run twice at a time (20.2.5.2). */
#define METHOD_FLAGS 0x9u

/* Block lengths are always written in two bytes (20.2.4), so that they can be filled in late. */
#define LENGTH_BYTES 2u
#define LENGTH_MAX   0xfffu
#define LENGTH_TWO   0x40u
/* In a resource block: length, then the buffer's size as a word. */
#define BUFFER_HEADER (LENGTH_BYTES + 3u)

static void put_length(struct buf *b, size_t at, size_t len)
{
        ASSERT(len <= LENGTH_MAX);
        b->data[at] = (uint8_t)(LENGTH_TWO | (len & 0xf));
        b->data[at + 1] = (uint8_t)(len >> 4);
}

static void put_name(struct buf *b, const char *name)
{
        ASSERT(strlen(name) == 4);
        buf_put(b, name, 4);
}

static void open_name(struct buf *b, const char *name)
{
        buf_put_u8(b, OP_NAME);
        put_name(b, name);
}

size_t aml_open(struct buf *b, enum aml_block block, const char *name)
{
        size_t at;

        if (block == AML_DEVICE) {
                buf_put_u8(b, OP_EXT);
                buf_put_u8(b, OP_EXT_DEVICE);
        } else {
                buf_put_u8(b, block == AML_METHOD ? OP_METHOD : OP_SCOPE);
        }
        at = b->at;
        buf_put_u16(b, 0);
        if (block == AML_SCOPE)
                buf_put_u8(b, '\\');
        put_name(b, name);
        if (block == AML_METHOD)
                buf_put_u8(b, METHOD_FLAGS);
        return at;
}

void aml_notify(struct buf *b, const char *name, uint8_t event)
{
        buf_put_u8(b, OP_NOTIFY);
        put_name(b, name);
        buf_put_u8(b, OP_BYTE);
        buf_put_u8(b, event);
}

void aml_close(struct buf *b, size_t block)
{
        if (!b->bad)
                put_length(b, block, b->at - block);
}

static void put_int(struct buf *b, uint32_t v)
{
        if (v <= 1) {
                buf_put_u8(b, (uint8_t)v); /* ZeroOp, OneOp */
        } else if (v <= UINT8_MAX) {
                buf_put_u8(b, OP_BYTE);
                buf_put_u8(b, (uint8_t)v);
        } else {
                buf_put_u8(b, OP_DWORD);
                buf_put_u32(b, v);
        }
}

void aml_name_int(struct buf *b, const char *name, uint32_t v)
{
        open_name(b, name);
        put_int(b, v);
}

void aml_name_string(struct buf *b, const char *name, const char *text)
{
        open_name(b, name);
        buf_put_u8(b, OP_STRING);
        buf_put(b, text, strlen(text) + 1);
}

static uint32_t hex(char c)
{
        return (uint32_t)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/* 19.3.4: three letters of five bits and four hexadecimal digits, most significant byte first. */
void aml_name_eisa_id(struct buf *b, const char *name, const char *id)
{
        uint32_t v = 0;

        ASSERT(strlen(id) == 7);
        for (unsigned i = 0; i < 3; i++)
                v = v << 5 | (uint32_t)(id[i] - '@');
        for (unsigned i = 3; i < 7; i++)
                v = v << 4 | hex(id[i]);
        open_name(b, name);
        buf_put_u8(b, OP_DWORD);
        buf_put_u32(b, __builtin_bswap32(v));
}

void aml_name_package(struct buf *b, const char *name, const uint8_t *v, uint8_t n)
{
        size_t at;

        open_name(b, name);
        buf_put_u8(b, OP_PACKAGE);
        at = b->at;
        buf_put_u16(b, 0);
        buf_put_u8(b, n);
        for (unsigned i = 0; i < n; i++)
                put_int(b, v[i]);
        aml_close(b, at);
}

size_t aml_open_resources(struct buf *b)
{
        size_t at;

        open_name(b, "_CRS");
        buf_put_u8(b, OP_BUFFER);
        at = b->at;
        buf_put_u16(b, 0);
        buf_put_u8(b, OP_WORD);
        buf_put_u16(b, 0);
        return at;
}

void aml_memory(struct buf *b, uint32_t base, uint32_t size) /* 6.4.3.4 */
{
        buf_put_u8(b, RES_MEMORY_FIXED);
        buf_put_u16(b, 9);
        buf_put_u8(b, 1); /* read and write */
        buf_put_u32(b, base);
        buf_put_u32(b, size);
}

void aml_ports(struct buf *b, uint16_t base, uint8_t n) /* 6.4.2.5 */
{
        buf_put_u8(b, RES_PORTS);
        buf_put_u8(b, 1); /* 16 address lines */
        buf_put_u16(b, base);
        buf_put_u16(b, base);
        buf_put_u8(b, 1);
        buf_put_u8(b, n);
}

void aml_interrupt(struct buf *b, uint32_t gsi) /* 6.4.3.6 */
{
        buf_put_u8(b, RES_INTERRUPTS);
        buf_put_u16(b, 6);
        buf_put_u8(b, 3); /* consumer, edge */
        buf_put_u8(b, 1);
        buf_put_u32(b, gsi);
}

void aml_close_resources(struct buf *b, size_t block)
{
        buf_put_u8(b, RES_END);
        buf_put_u8(b, 0); /* no checksum */
        if (b->bad)
                return;
        put_length(b, block, b->at - block);
        tables_set_u16(b->data + block + LENGTH_BYTES + 1, (uint16_t)(b->at - block - BUFFER_HEADER));
}

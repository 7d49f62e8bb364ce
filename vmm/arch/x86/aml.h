#pragma once
/*
 * ACPI machine language, as much as a table of devices needs (ACPI 6.4, chapter 20). Pure.
 *
 * A block (scope, device, package) is opened by aml_open() and closed by aml_close(), which fills in
 * its length.
 */
#include <stdint.h>

#include "vmm/base/buf.h"

enum aml_block { AML_SCOPE, AML_DEVICE, AML_METHOD };

/* @name: four characters; a scope's is taken from the root; a method takes one argument. Return: for aml_close(). */
size_t aml_open(struct buf *b, enum aml_block block, const char *name);
void aml_close(struct buf *b, size_t block);

/* Name (@name, …): an integer, a string, an EISA id ("PNP0501"), a package of byte-sized integers. */
void aml_name_int(struct buf *b, const char *name, uint32_t v);
void aml_name_string(struct buf *b, const char *name, const char *text);
void aml_name_eisa_id(struct buf *b, const char *name, const char *id);
void aml_name_package(struct buf *b, const char *name, const uint8_t *v, uint8_t n);

/* Notify (@name, @event), within a method. */
void aml_notify(struct buf *b, const char *name, uint8_t event);

/* Name (_CRS, ResourceTemplate () { … }), closed by aml_close_resources(). */
size_t aml_open_resources(struct buf *b);
void aml_memory(struct buf *b, uint32_t base, uint32_t size);
void aml_ports(struct buf *b, uint16_t base, uint8_t n);
/* Edge-triggered, active high, exclusive. */
void aml_interrupt(struct buf *b, uint32_t gsi);
void aml_close_resources(struct buf *b, size_t block);

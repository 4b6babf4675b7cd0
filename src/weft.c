/* SPDX-License-Identifier: Apache-2.0
 * weft.c - the public node: opens, wires, closes. */

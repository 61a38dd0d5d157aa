// libcurand for machines whose torch came without one, and 130 MB smaller: generators can be made, and make nothing.
//
// candle makes a generator with every device. jepa3d draws all its numbers from (seed, sample, purpose) by itself, on the CPU and on
// the device alike, so that none is ever asked for one; a caller that does gets CURAND_STATUS_INITIALIZATION_FAILED, not numbers.

#include <stddef.h>

#define DONE 0
#define REFUSED 203

int curandCreateGenerator(void **generator, int kind) {
    static char one;
    (void)kind;
    *generator = &one;
    return DONE;
}

int curandDestroyGenerator(void *generator) { return (void)generator, DONE; }

int curandSetStream(void *generator, void *stream) { return (void)generator, (void)stream, DONE; }

int curandSetPseudoRandomGeneratorSeed(void *generator, unsigned long long seed) {
    return (void)generator, (void)seed, DONE;
}

#define REFUSE(name, value)                                                     \
    int name(void *generator, value *out, size_t count) {                       \
        return (void)generator, (void)out, (void)count, REFUSED;                \
    }
REFUSE(curandGenerate, unsigned)
REFUSE(curandGenerateUniform, float)
REFUSE(curandGenerateUniformDouble, double)

#define REFUSE_NORMAL(name, value)                                                  \
    int name(void *generator, value *out, size_t count, value mean, value deviation) { \
        return (void)generator, (void)out, (void)count, (void)mean, (void)deviation, REFUSED; \
    }
REFUSE_NORMAL(curandGenerateNormal, float)
REFUSE_NORMAL(curandGenerateNormalDouble, double)
REFUSE_NORMAL(curandGenerateLogNormal, float)
REFUSE_NORMAL(curandGenerateLogNormalDouble, double)

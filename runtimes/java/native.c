/*
 * What Java cannot do itself, for mayfly/Stem.java: change the working directory, and the variables
 * that native code sees. It runs while there is one thread that could read them: Stem's own.
 */
#include <jni.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

JNIEXPORT jboolean JNICALL Java_mayfly_Stem_enterFolder(JNIEnv *env, jclass type, jstring path);
JNIEXPORT void JNICALL Java_mayfly_Stem_clearVariables(JNIEnv *env, jclass type);
JNIEXPORT void JNICALL Java_mayfly_Stem_setVariable(
	JNIEnv *env, jclass type, jbyteArray name, jbyteArray value);

JNIEXPORT jboolean JNICALL Java_mayfly_Stem_enterFolder(JNIEnv *env, jclass type, jstring path)
{
	(void)type;
	const char *text = (*env)->GetStringUTFChars(env, path, NULL);
	jboolean is_done = text && chdir(text) == 0;

	if (text)
		(*env)->ReleaseStringUTFChars(env, path, text);
	return is_done;
}

JNIEXPORT void JNICALL Java_mayfly_Stem_clearVariables(JNIEnv *env, jclass type)
{
	(void)env;
	(void)type;
	(void)clearenv();
}

/* The bytes of an array as text; the caller frees it. NULL when there is no memory. */
static char *text_of(JNIEnv *env, jbyteArray bytes)
{
	jsize len = (*env)->GetArrayLength(env, bytes);
	char *text = calloc(1, (size_t)len + 1);

	if (text)
		(*env)->GetByteArrayRegion(env, bytes, 0, len, (jbyte *)text);
	return text;
}

JNIEXPORT void JNICALL Java_mayfly_Stem_setVariable(
	JNIEnv *env, jclass type, jbyteArray name, jbyteArray value)
{
	(void)type;
	char *name_text = text_of(env, name), *value_text = text_of(env, value);

	if (name_text && value_text)
		(void)setenv(name_text, value_text, 1);
	free(name_text);
	free(value_text);
}

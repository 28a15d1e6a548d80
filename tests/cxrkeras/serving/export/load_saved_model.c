/* Asks a SavedModel through TensorFlow's C API: no Python, no Keras, none of our code.

   load_saved_model DIR floats|files INPUT:I OUTPUT:I ROWS SIDE FILE...

   floats: FILE is one file of ROWS x SIDE x SIDE x 1 float32. files: each FILE is a row.
   Prints one row of the float32 output per line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tensorflow/c/c_api.h>

static void check(TF_Status *status) {
  if (TF_GetCode(status) == TF_OK) return;
  fprintf(stderr, "%s\n", TF_Message(status));
  exit(1);
}

static char *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file) { perror(path); exit(1); }
  fseek(file, 0, SEEK_END);
  *size = ftell(file);
  rewind(file);
  char *content = malloc(*size + 1);
  if (fread(content, 1, *size, file) != *size) exit(1);
  fclose(file);
  return content;
}

static TF_Output place(TF_Graph *graph, char *name) {
  char *colon = strchr(name, ':');
  *colon = 0;
  TF_Output output = {TF_GraphOperationByName(graph, name), atoi(colon + 1)};
  if (!output.oper) { fprintf(stderr, "no operation %s\n", name); exit(1); }
  return output;
}

int main(int argc, char **argv) {
  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_SessionOptions *options = TF_NewSessionOptions();
  const char *tags[] = {"serve"};
  TF_Session *session =
      TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph, NULL, status);
  check(status);
  TF_Output input = place(graph, argv[3]), output = place(graph, argv[4]);
  int64_t rows = atoll(argv[5]), side = atoll(argv[6]);
  size_t size;
  TF_Tensor *fed;
  if (strcmp(argv[2], "floats") == 0) {
    int64_t shape[] = {rows, side, side, 1};
    char *content = read_file(argv[7], &size);
    fed = TF_AllocateTensor(TF_FLOAT, shape, 4, size);
    memcpy(TF_TensorData(fed), content, size);
  } else {
    fed = TF_AllocateTensor(TF_STRING, &rows, 1, rows * sizeof(TF_TString));
    TF_TString *strings = TF_TensorData(fed);
    for (int64_t row = 0; row < rows; row++) {
      char *content = read_file(argv[7 + row], &size);
      TF_TString_Init(&strings[row]);
      TF_TString_Copy(&strings[row], content, size);
    }
  }
  TF_Tensor *answer = NULL;
  TF_SessionRun(session, NULL, &input, &fed, 1, &output, &answer, 1, NULL, 0, NULL, status);
  check(status);
  float *values = TF_TensorData(answer);
  int64_t columns = TF_TensorElementCount(answer) / rows;
  for (int64_t row = 0; row < rows; row++)
    for (int64_t column = 0; column < columns; column++)
      printf("%.9g%c", values[row * columns + column], column + 1 < columns ? ' ' : '\n');
  TF_CloseSession(session, status);
  return 0;
}

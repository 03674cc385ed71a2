package kwire;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.BufferedWriter;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.OutputStreamWriter;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.util.zip.GZIPOutputStream;

/** A file of JSON lines, compressed if its name ends in {@code .gz}; without a name, lines go nowhere. */
final class JsonLines implements AutoCloseable {
    private final Writer out;
    int lines;

    JsonLines(String file) throws IOException {
        OutputStream bytes = file == null ? OutputStream.nullOutputStream() : new FileOutputStream(file);
        if (file != null && file.endsWith(".gz")) bytes = new GZIPOutputStream(bytes, 1 << 16);
        out = new BufferedWriter(new OutputStreamWriter(bytes, StandardCharsets.UTF_8));
    }

    void add(JsonNode line) throws IOException {
        out.write(Json.print(line));
        out.write('\n');
        lines++;
    }

    @Override
    public void close() throws IOException {
        out.close();
    }
}

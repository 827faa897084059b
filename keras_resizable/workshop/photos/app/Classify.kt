// Classifies photos on Android. In app/build.gradle:
//     implementation 'com.google.mediapipe:tasks-vision:latest.release'
// and copy FILE and nothing else into app/src/main/assets: its labels and the range of its
// input are inside the file.

import android.content.Context
import android.graphics.Bitmap
import com.google.mediapipe.framework.image.BitmapImageBuilder
import com.google.mediapipe.tasks.core.BaseOptions
import com.google.mediapipe.tasks.vision.imageclassifier.ImageClassifier
import com.google.mediapipe.tasks.vision.imageclassifier.ImageClassifier.ImageClassifierOptions

class Classify(context: Context) {
    private val classifier = ImageClassifier.createFromOptions(
        context,
        ImageClassifierOptions.builder()
            .setBaseOptions(BaseOptions.builder().setModelAssetPath("FILE").build())
            .setMaxResults(1)
            .setScoreThreshold(THRESHOLDf)  // Less sure answers are no answers.
            .build()
    )

    /** The class of an upright photo and its score; null if it is unknown. */
    fun classify(photo: Bitmap): Pair<String, Float>? {
        val result = classifier.classify(BitmapImageBuilder(cropped(photo)).build())
        val best = result.classificationResult().classifications()[0].categories().firstOrNull()
        return best?.let { it.categoryName() to it.score() }
    }

    /** The central square that evaluation sees, of a part of the shorter side, or all. */
    private fun cropped(photo: Bitmap): Bitmap {
        val part: Double = crop ?: return photo
        val side = maxOf((part * minOf(photo.width, photo.height)).toInt(), 1)
        return Bitmap.createBitmap(
            photo, (photo.width - side) / 2, (photo.height - side) / 2, side, side)
    }

    private val crop: Double? = CROP
}
